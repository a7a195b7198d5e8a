"""ResNets with instance-batch normalisation, IBN-a (Pan et al., ECCV 2018)."""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture, Backbone
from mprd.models.backbones.resnet import ResNetTrunk


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


def resnet_ibn_a(architecture: Architecture, pretrained: bool) -> Backbone:
    """Build a ResNet-IBN-a; its ImageNet weights are a file of the user."""
    name = architecture.backbone
    if pretrained:
        raise UserError(
            f"torchvision has no ImageNet weights of {name}. Set init.method to checkpoint "
            "and init.checkpoint to a local IBN-Net weights file."
        )
    from torchvision.models import get_model

    network = get_model(name.removesuffix("_ibn_a"), weights=None)
    add_ibn_a([network.layer1, network.layer2, network.layer3])
    return Backbone(ResNetTrunk(network, architecture.last_stride), network.fc.in_features)
