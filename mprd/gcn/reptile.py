"""Reptile (Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms, 2018)."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


def reptile_step(
    network: nn.Module,
    batches: Iterable[T],
    loss: Callable[[T], Tensor],
    inner_rate: float,
    outer_rate: float,
) -> Tensor:
    """Do one Reptile step on one task, in place.

    theta_0 is kept; one SGD step per batch leads to theta_n;
    theta <- theta_0 + outer_rate (theta_n - theta_0).

    Args:
        network: its trained parameters are theta.
        batches: the batches of the task, one inner step each.
        loss: batch -> scalar, of the network's current parameters.
        inner_rate: rate of the SGD steps.
        outer_rate: epsilon.

    Returns:
        The mean loss over the inner steps, a scalar; the host does not wait for it.
    """
    parameters = [p for p in network.parameters() if p.requires_grad]
    start = [p.detach().clone() for p in parameters]
    losses = []
    for batch in batches:
        value = loss(batch)
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=inner_rate)
        losses.append(value.detach())
    with torch.no_grad():
        for parameter, first in zip(parameters, start, strict=True):
            parameter.copy_(first + outer_rate * (parameter - first))
    return torch.stack(losses).mean()
