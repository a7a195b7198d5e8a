"""A small residual network for CPUs and small images."""

import torch.nn.functional as F
from torch import Tensor, nn

from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture, Backbone


class MiniTrunk(nn.Module):
    """Four basic residual blocks behind a strided stem: 0.9 M weights, stride 8."""

    def __init__(self, widths: tuple[int, int, int, int] = (32, 64, 128, 192)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs = (widths[0], *widths[:-1])
        self.layers = nn.Sequential(*map(_Block, inputs, widths, (1, 2, 2, 1)))
        for child in self.modules():
            if isinstance(child, nn.Conv2d):
                nn.init.kaiming_normal_(child.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, 192, H/8, W/8)."""
        return self.layers(F.relu(self.bn1(self.conv1(x)), inplace=True))


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al., CVPR 2016, figure 2)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x), inplace=True)


def mini(architecture: Architecture, pretrained: bool) -> Backbone:
    """Build the small network; there are no ImageNet weights of it."""
    if pretrained:
        raise UserError(
            "Backbone mini has no ImageNet weights. Set init.method to warmup, or take "
            "timm/tf_efficientnet_lite0, whose weights come with mprd."
        )
    if architecture.last_stride != 1:
        raise UserError("Backbone mini has no strided last stage. Set model.last_stride to 1.")
    return Backbone(MiniTrunk(), 192)
