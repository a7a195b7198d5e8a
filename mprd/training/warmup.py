"""Self-supervised warm-up: contrastive training on the run's own images, without any label."""

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mprd.config import AugmentConfig, WarmupConfig
from mprd.data.pixels import PixelStore
from mprd.data.transforms import augment_warmup
from mprd.errors import UserError
from mprd.losses.nt_xent import nt_xent_loss
from mprd.models.network import ReidNetwork
from mprd.system.progress import progress
from mprd.training.checks import CHECK_EVERY
from mprd.training.optimizer import Adam
from mprd.training.sharing import add_gradients, embed

_RAMP = 0.05


def warm_up(
    network: ReidNetwork,
    store: PixelStore,
    settings: WarmupConfig,
    augmentation: AugmentConfig,
    device: torch.device,
    generator: torch.Generator,
) -> list[float]:
    """Train `network` in place so that two views of an image are alike and images differ.

    Adam with a linear ramp over the first 5 % of the steps and cosine decay; the projection
    head of SimCLR is dropped at the end.

    Args:
        network: on `device`.
        store: the training images.
        settings: the `init.warmup` section.
        augmentation: the `augment` section.
        device: where to train.
        generator: random numbers for batches and views, on `device`.

    Returns:
        The loss of each step.

    Raises:
        UserError: fewer than two images, or a loss is NaN.
    """
    if len(store) < 2:
        raise UserError("The warm-up needs at least two training images.")
    batch = min(settings.batch_size, len(store))
    head = _projection(network.dim, settings.projection).to(device)
    parameters = [p for p in (*network.parameters(), *head.parameters()) if p.requires_grad]
    optimizer = Adam(parameters, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: _rate(s, settings.steps))
    network.train()
    log = torch.zeros(settings.steps, device=device)
    batches = _batches(len(store), batch, settings.steps, generator)
    bar = progress(batches, total=settings.steps, desc="warm-up", unit="step")
    for step, (rows, following) in enumerate(bar):
        images = store.batch(rows)
        if len(following):
            store.ahead(following)
        views = (
            augment_warmup(images, settings, augmentation, network.statistics, generator)
            for _ in range(2)
        )
        first, second = (head(embed(network, view)) for view in views)
        loss = nt_xent_loss(
            F.normalize(first, dim=1), F.normalize(second, dim=1), settings.temperature
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        add_gradients(network.parameters())  # the head saw all images, everywhere
        optimizer.step()
        schedule.step()
        log[step] = loss.detach()
        if step % CHECK_EVERY == CHECK_EVERY - 1:
            _require_finite(log[: step + 1])
    network.eval()
    return _require_finite(log)


def _require_finite(log: Tensor) -> list[float]:
    losses: list[float] = log.tolist()
    if not np.isfinite(losses).all():
        bad = int(np.flatnonzero(~np.isfinite(losses))[0]) + 1
        raise UserError(f"The warm-up loss is NaN at step {bad}. Lower init.warmup.lr.")
    return losses


def _rate(step: int, steps: int) -> float:
    ramp = max(1, int(_RAMP * steps))
    if step < ramp:
        return (step + 1) / ramp
    return 0.5 * (1 + math.cos(math.pi * (step - ramp) / max(1, steps - ramp)))


def _projection(dim: int, size: int) -> nn.Module:
    if size == 0:
        return nn.Identity()
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(inplace=True), nn.Linear(dim, size))


def _batches(
    count: int, batch: int, steps: int, generator: torch.Generator
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield shuffled batches of distinct rows, pass after pass over the images.

    With each comes the next one; none at the end of a pass, for the next pass is not drawn yet.
    """
    per_pass = count // batch
    for step in range(steps):
        if step % per_pass == 0:
            order = torch.randperm(count, generator=generator, device=generator.device)
        start = step % per_pass * batch
        following = order[start + batch : start + 2 * batch]
        yield order[start : start + batch], following if len(following) == batch else order[:0]
