"""Batch normalisation over groups of a batch ("ghost" batch norm), whatever the number of GPUs."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from mprd.models import grouped_norm
from mprd.system import group

_Norm = nn.modules.batchnorm._BatchNorm


class _Grouped(_Norm):
    """Mix-in: training statistics come from `group_size` consecutive images each.

    torch's layers and timm's `BatchNormAct2d` normalise all groups in one pass. For any other
    layer, and for groups that are not alike, each group passes through the layer's own `forward`.
    Parameters and running statistics keep their names, so weights are exchangeable with plain
    layers. One training step moves the running statistics as far as one step of the plain layer:
    each of G groups, those of all processes that share the batch, moves them by
    1 - (1 - momentum)^(1/G), one after the other.
    """

    group_size: int
    normalises: bool  # its forward is batch norm, perhaps with drop and act behind it
    activates: bool
    drop: nn.Module  # where it activates
    act: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...)."""
        if not self.training:
            return super().forward(x)
        sizes = _sizes(len(x), self.group_size)
        count = len(sizes) * group.size()
        if count == 1:
            return super().forward(x)
        momentum = self.momentum
        if momentum is not None:
            momentum = 1 - (1 - momentum) ** (1 / count)
        if momentum is not None and len(set(sizes)) == 1 and self._fits(x, sizes[0]):
            return self._in_one_pass(x, len(sizes), momentum)
        before, self.momentum = self.momentum, momentum
        try:
            return torch.cat([super(_Grouped, self).forward(part) for part in x.split(sizes)])
        finally:
            self.momentum = before

    def _in_one_pass(self, x: Tensor, groups: int, momentum: float) -> Tensor:
        self._check_input_dim(x)
        running = None
        if self.track_running_stats and self.running_mean is not None:
            assert self.running_var is not None
            running = self.running_mean, self.running_var
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(groups)
        y = grouped_norm.normalise(
            x, self.weight, self.bias, running, groups=groups, momentum=momentum, eps=self.eps
        )
        return self.act(self.drop(y)) if self.activates else y

    def _fits(self, x: Tensor, size: int) -> bool:
        """Tell whether this layer and input are of the usual kind."""
        kept = [t for t in (self.weight, self.bias, self.running_mean) if t is not None] or [x]
        precise = torch.promote_types(x.dtype, torch.float32)
        return (
            self.normalises
            and x.ndim > 1
            and x.numel() * size > x.shape[1] * len(x)  # a group has several values per channel
            and all(tensor.dtype == precise for tensor in kept)
        )


@cache
def _grouped_kind(kind: type[nn.Module]) -> type[nn.Module]:
    activates = f"{kind.__module__}.{kind.__name__}" == "timm.layers.norm_act.BatchNormAct2d"
    facts = {"normalises": activates or kind.forward is _Norm.forward, "activates": activates}
    return type(f"Grouped{kind.__name__}", (_Grouped, kind), facts)


def group_batchnorm(module: nn.Module, group_size: int) -> nn.Module:
    """Turn every batch normalisation below `module` into its grouped kind, in place.

    Args:
        module: any network.
        group_size: images per group; 0 = the whole batch, which leaves the network as it is.
    """
    for child in module.modules() if group_size else ():
        if isinstance(child, _Norm):
            # Changing the class keeps parameters and buffers where optimisers expect them.
            kind: Any = type(child)
            child.__class__ = _grouped_kind(kind)  # type: ignore[assignment]
            child.group_size = group_size  # type: ignore[assignment]
    return module


def grouped_layers(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """Return the grouped batch normalisations below a module that keep running statistics."""
    layers = [child for child in module.modules() if isinstance(child, _Grouped)]
    return [layer for layer in layers if layer.running_mean is not None]


def _sizes(count: int, group_size: int) -> list[int]:
    """Return the sizes of consecutive groups; a rest of one image joins the group before it."""
    sizes = [group_size] * (count // group_size) or [count]
    rest = count - sum(sizes)
    if rest == 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes
