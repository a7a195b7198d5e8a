"""Online association of cameras against a loop over images."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mprd.config import TrainConfig
from mprd.losses.association import association_loss
from mprd.losses.camera import camera_loss, camera_term
from mprd.losses.memories.registry import MEMORIES, MemoryInputs
from mprd.losses.registry import LossInputs


def unit(n, d, seed):
    return F.normalize(
        torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=1
    )


def literal(x, own, proxies, place, temperature, hardest):
    """The associations and the loss of each image, one after another."""
    total = 0.0
    for f, j in zip(x, own, strict=True):
        score = [0.15 * float(f @ k) + 0.85 * float(proxies[j] @ k) for k in proxies]
        best = {}
        for q, camera in enumerate(place):
            if camera != place[j] and (camera not in best or score[q] > score[best[camera]]):
                best[camera] = q
        positive = sorted(best.values(), key=lambda q: -score[q])[:3]
        others = [q for q in range(len(proxies)) if q not in positive and q != j]
        negative = sorted(others, key=lambda q: -score[q])[:hardest]
        logit = [float(f @ k) / temperature for k in proxies]
        bottom = sum(math.exp(logit[q]) for q in positive + negative)
        for q in positive:
            total -= math.log(math.exp(logit[q]) / bottom) / len(positive)
    return total / len(x)


@given(
    place=st.lists(st.integers(0, 5), min_size=1, max_size=16),
    hardest=st.integers(1, 20),
    seed=st.integers(0, 999),
)
def test_equals_a_loop_over_images(place, hardest, seed):
    proxies, x = unit(len(place), 5, seed), unit(6, 5, seed + 1).requires_grad_()
    own = torch.randint(len(place), (6,), generator=torch.Generator().manual_seed(seed))
    found = association_loss(
        x, own, proxies, torch.tensor(place), 6, temperature=0.2, hardest=hardest
    )
    expected = literal(x.detach(), own.tolist(), proxies, place, 0.2, hardest)
    assert float(found.detach()) == pytest.approx(expected, abs=1e-8)
    found.backward()
    assert bool(x.grad.isfinite().all())


def test_one_camera_has_nobody_to_find():
    x = unit(3, 4, 0).requires_grad_()
    loss = association_loss(
        x,
        torch.tensor([0, 1, 1]),
        unit(2, 4, 1),
        torch.tensor([3, 3]),
        4,
        temperature=0.1,
        hardest=5,
    )
    loss.backward()
    assert float(loss.detach()) == 0
    assert not x.grad.any()


def test_it_brings_the_halves_of_one_person_together():
    """Two clusters that look alike, one in each camera: CAP has no pair across cameras there."""
    proxies = F.normalize(torch.tensor([[1.0, 0.3, 0], [1.0, -0.3, 0], [0, 0, 1.0], [0, 1.0, 1.0]]))
    cluster, place = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 0, 1])
    x = proxies[:1].clone().requires_grad_()
    own = torch.tensor([0])
    camera_loss(x, own, proxies, cluster, place, temperature=0.1, across=0.5, hardest=50).backward()
    towards = proxies[1] - (proxies[1] @ x[0].detach()) * x[0].detach()
    assert float(-x.grad[0] @ towards) == pytest.approx(0, abs=1e-6)
    x.grad = None
    association_loss(x, own, proxies, place, 2, temperature=0.1, hardest=50).backward()
    assert float(-x.grad[0] @ towards) > 0.01


def test_the_term_adds_it_by_its_weight():
    labels, cameras = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 0, -1, 2])
    inputs = MemoryInputs(
        features=unit(5, 4, 2), labels=labels, cameras=cameras, weights=torch.ones(5).double()
    )
    rows = torch.tensor([0, 2, 3])
    values = []
    for weight in (0.0, 0.5):
        settings = TrainConfig(memory="camera", online_weight=weight)
        memory = MEMORIES["camera"](inputs, settings)
        none = torch.zeros(3, 0, dtype=torch.bool)
        batch = LossInputs(
            x=unit(3, 4, 3),
            x_partner=None,
            labels=labels[rows],
            memory=memory,
            rows=rows,
            hard_positive=rows,
            members=rows[:0],
            positive=none,
            negative=none,
        )
        values.append(float(camera_term(batch, settings)))
    alone = association_loss(
        unit(3, 4, 3),
        memory.proxy[rows],
        memory.proxies,
        memory.proxy_camera + 1,
        4,
        temperature=settings.temperature,
        hardest=settings.hard_proxies,
    )
    assert values[1] - values[0] == pytest.approx(0.5 * float(alone))
    assert values[1] != values[0]
