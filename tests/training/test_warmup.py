"""The self-supervised warm-up: what it asks of the device, and when it stops."""

import pytest
import torch

from mprd.config import AugmentConfig, WarmupConfig
from mprd.data.pixels import IMAGENET
from mprd.data.transforms import augment_warmup
from mprd.errors import UserError
from mprd.losses.nt_xent import nt_xent_loss
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
from mprd.training import warmup
from tests.no_wait import waits
from tests.training.test_no_wait import make_store

CPU = torch.device("cpu")


def test_a_loss_that_is_nan_is_told_within_twenty_steps(monkeypatch):
    seen = []

    def broken(first, second, temperature):
        seen.append(nt_xent_loss(first, second, temperature))
        return seen[-1] * (float("nan") if len(seen) > 2 else 1)

    monkeypatch.setattr(warmup, "nt_xent_loss", broken)
    network = ReidNetwork(Architecture("mini", "gem", 0, 32, 16))
    settings = WarmupConfig(steps=200, batch_size=4)
    store, generator = make_store(), torch.Generator().manual_seed(0)
    with pytest.raises(UserError, match="NaN at step 3"):
        warmup.warm_up(network, store, settings, AugmentConfig(), CPU, generator)
    assert len(seen) <= 20


def test_views_and_loss_wait_for_nothing():
    images, generator = make_store().batch(torch.arange(8)), torch.Generator().manual_seed(0)

    def step():
        views = [
            augment_warmup(images, WarmupConfig(), AugmentConfig(), IMAGENET, generator)
            for _ in range(2)
        ]
        first, second = (torch.nn.functional.normalize(v.flatten(1), dim=1) for v in views)
        nt_xent_loss(first, second, 0.1)

    step()  # constants are uploaded once
    assert waits(step) == []
