"""Batch norm in other ways than a network has it: group by group, by our kernels."""

from typing import Any

import torch
from torch import Tensor, nn

from mprd.models.grouped_norm import normalise


class _Literal(nn.modules.batchnorm._BatchNorm):
    """Mix-in: each group of `group_size` consecutive images passes through the layer's own code.

    A step of G groups moves the running statistics as far as one step of the plain layer.
    """

    group_size: int

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...)."""
        if not self.training or len(x) <= self.group_size:
            return super().forward(x)
        groups = x.split(self.group_size)
        momentum = self.momentum
        self.momentum = 1 - (1 - momentum) ** (1 / len(groups))
        try:
            return torch.cat([super(_Literal, self).forward(part) for part in groups])
        finally:
            self.momentum = momentum


class _Ours(nn.modules.batchnorm._BatchNorm):
    """Mix-in: the whole batch as one group of our kernels, where torch has its own."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...)."""
        if not self.training:
            return super().forward(x)
        running = self.running_mean, self.running_var
        options = {"groups": 1, "momentum": self.momentum, "eps": self.eps}
        y = normalise(x, self.weight, self.bias, running, **options)
        return self.act(self.drop(y)) if hasattr(self, "act") else y


def literal_groups(network: nn.Module, group_size: int) -> nn.Module:
    """Turn every plain batch norm of a network into the literal grouped one, in place.

    Args:
        network: its layers are not grouped.
        group_size: images of a group; it divides the batch.
    """
    for child in _become(network, _Literal):
        child.group_size = group_size
    return network


def by_our_kernels(network: nn.Module) -> nn.Module:
    """Let our kernels do every plain batch norm of a network, in place.

    Args:
        network: its layers are not grouped.
    """
    _become(network, _Ours)
    return network


def _become(network: nn.Module, way: type) -> list[Any]:
    """Mix a way into every batch norm of a network; return these."""
    norms: list[Any] = [
        child for child in network.modules() if isinstance(child, nn.modules.batchnorm._BatchNorm)
    ]
    for child in norms:
        kind: Any = type(child)
        child.__class__ = type(f"{way.__name__[1:]}{kind.__name__}", (way, kind), {})
    return norms
