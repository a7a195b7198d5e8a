"""Instance-batch normalisation, IBN-a (Pan et al., ECCV 2018)."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn


class InstanceBatchNorm(nn.Module):
    """Instance norm on the first half of the channels, batch norm on the rest.

    Children are named `IN` and `BN`, as in the published weight files.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.split_at = channels // 2
        self.IN = nn.InstanceNorm2d(self.split_at, affine=True)
        self.BN = nn.BatchNorm2d(channels - self.split_at)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        first, second = x.split([self.split_at, x.shape[1] - self.split_at], dim=1)
        return torch.cat([self.IN(first.contiguous()), self.BN(second.contiguous())], dim=1)


def add_ibn_a(layers: Iterable[nn.Sequential]) -> None:
    """Replace the first normalisation of every residual block in `layers` (the first three)."""
    for layer in layers:
        for block in layer:
            block.bn1 = InstanceBatchNorm(cast(nn.Conv2d, block.conv1).out_channels)
