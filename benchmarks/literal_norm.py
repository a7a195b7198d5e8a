"""Grouped batch norm as it is written down: one `batch_norm` a group, and a concatenation."""

from typing import Any

import torch
from torch import Tensor, nn


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


def literal_groups(network: nn.Module, group_size: int) -> nn.Module:
    """Turn every plain batch norm of a network into the literal grouped one, in place.

    Args:
        network: its layers are not grouped.
        group_size: images of a group; it divides the batch.
    """
    for child in network.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            kind: Any = type(child)
            child.__class__ = type(f"Literal{kind.__name__}", (_Literal, kind), {})
            child.group_size = group_size
    return network
