"""Batch normalisation over groups of a batch ("ghost" batch norm), whatever the number of GPUs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Grouped(nn.modules.batchnorm._BatchNorm):
    """BatchNorm whose training statistics come from `group_size` consecutive images each.

    The affine parameters and running statistics keep their names, so weights are exchangeable
    with plain BatchNorm. One training step moves the running statistics as far as one step of
    plain BatchNorm does: each of G groups moves them by 1 - (1 - momentum)^(1/G).
    """

    group_size: int = 0

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...)."""
        if not self.training or self.group_size == 0 or len(x) <= self.group_size:
            return super().forward(x)
        self._check_input_dim(x)
        groups = _split(x, self.group_size)
        momentum = 1 - (1 - (self.momentum or 0.0)) ** (1 / len(groups))
        parts = [
            F.batch_norm(
                group,
                self.running_mean,
                self.running_var,
                self.weight,
                self.bias,
                training=True,
                momentum=momentum,
                eps=self.eps,
            )
            for group in groups
        ]
        return torch.cat(parts)


class GroupedBatchNorm1d(_Grouped, nn.BatchNorm1d):
    """`BatchNorm1d` over groups."""


class GroupedBatchNorm2d(_Grouped, nn.BatchNorm2d):
    """`BatchNorm2d` over groups."""


def group_batchnorm(module: nn.Module, group_size: int) -> nn.Module:
    """Turn every BatchNorm1d/2d below `module` into its grouped kind, in place.

    Args:
        module: any network.
        group_size: images per group; 0 = the whole batch.
    """
    for child in module.modules():
        # Changing the class keeps parameters and buffers where optimisers and names expect them.
        if isinstance(child, nn.BatchNorm2d):
            child.__class__ = GroupedBatchNorm2d
        elif isinstance(child, nn.BatchNorm1d):
            child.__class__ = GroupedBatchNorm1d
        if isinstance(child, _Grouped):
            child.group_size = group_size
    return module


def _split(x: Tensor, group_size: int) -> list[Tensor]:
    """Split into consecutive groups; a rest of one image joins the group before it."""
    sizes = [group_size] * (len(x) // group_size)
    rest = len(x) % group_size
    if rest == 1:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return list(x.split(sizes))
