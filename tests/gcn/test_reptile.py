"""Reptile against its formula."""

import pytest
import torch
from torch import nn

from mprd.gcn.reptile import reptile_step


class Scalar(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(value, dtype=torch.float64))


def test_a_step_on_a_scalar_problem():
    """Loss (theta - t)^2 / 2: an inner step is theta <- theta - rate (theta - t)."""
    model, rate, outer, targets = Scalar(3.0), 0.1, 0.25, [1.0, -2.0, 0.5]
    theta, losses = 3.0, []
    for target in targets:
        losses.append((theta - target) ** 2 / 2)
        theta -= rate * (theta - target)
    found = reptile_step(model, targets, lambda t: (model.theta - t) ** 2 / 2, rate, outer)
    assert model.theta.item() == pytest.approx(3.0 + outer * (theta - 3.0), abs=1e-12)
    assert found.item() == pytest.approx(sum(losses) / 3, abs=1e-12)
    assert model.theta.grad is None


def test_the_next_step_starts_anew():
    """No gradient or moved weight is left over: two steps are two times one step."""
    once, twice = Scalar(3.0), Scalar(3.0)
    for model, steps in ((once, 1), (twice, 2)):
        for _ in range(steps):
            reptile_step(model, [0.0, 0.0], lambda t, m=model: (m.theta - t) ** 2 / 2, 0.1, 0.5)
    factor = 1 - 0.5 * (1 - 0.9**2)
    assert once.theta.item() == pytest.approx(3 * factor)
    assert twice.theta.item() == pytest.approx(3 * factor**2)


def test_frozen_and_unused_parameters_stay():
    model = nn.ModuleDict({"used": nn.Linear(1, 1), "unused": nn.Linear(1, 1)})
    model["used"].bias.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    reptile_step(model, [torch.ones(1, 1)], lambda x: model["used"](x).sum(), 0.1, 1.0)
    changed = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
    assert changed == ["used.weight"]
