"""Batch normalisation over groups of a batch ("ghost" batch norm), whatever the number of GPUs."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from mprd.system import group


class _Grouped(nn.modules.batchnorm._BatchNorm):
    """Mix-in: training statistics come from `group_size` consecutive images each.

    Each group passes through the layer's own `forward`, so layers that also activate (timm's
    `BatchNormAct2d`) stay what they are. Parameters and running statistics keep their names, so
    weights are exchangeable with plain layers. One training step moves the running statistics as
    far as one step of the plain layer: each of G groups, those of all processes that share the
    batch, moves them by 1 - (1 - momentum)^(1/G).
    """

    group_size: int

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...)."""
        if not self.training:
            return super().forward(x)
        groups = _split(x, self.group_size) if len(x) > self.group_size else [x]
        count = len(groups) * group.size()
        if count == 1:
            return super().forward(x)
        momentum = self.momentum
        if momentum is not None:
            self.momentum = 1 - (1 - momentum) ** (1 / count)
        try:
            return torch.cat([super(_Grouped, self).forward(part) for part in groups])
        finally:
            self.momentum = momentum


@cache
def _grouped_kind(kind: type[nn.Module]) -> type[nn.Module]:
    return type(f"Grouped{kind.__name__}", (_Grouped, kind), {})


def group_batchnorm(module: nn.Module, group_size: int) -> nn.Module:
    """Turn every batch normalisation below `module` into its grouped kind, in place.

    Args:
        module: any network.
        group_size: images per group; 0 = the whole batch, which leaves the network as it is.
    """
    for child in module.modules() if group_size else ():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            # Changing the class keeps parameters and buffers where optimisers expect them.
            kind: Any = type(child)
            child.__class__ = _grouped_kind(kind)  # type: ignore[assignment]
            child.group_size = group_size  # type: ignore[assignment]
    return module


def grouped_layers(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the grouped batch normalisations below a module that keep running statistics."""
    layers = [child for child in module.modules() if isinstance(child, _Grouped)]
    return [layer for layer in layers if layer.running_mean is not None]


def _split(x: Tensor, group_size: int) -> list[Tensor]:
    """Split into consecutive groups; a rest of one image joins the group before it."""
    sizes = [group_size] * (len(x) // group_size)
    rest = len(x) % group_size
    if rest == 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return list(x.split(sizes))
