"""ResNet 18 to 152 (He et al., CVPR 2016), by torchvision."""

from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture, Backbone

if TYPE_CHECKING:  # importing torchvision takes as long as importing torch
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


class ResNetTrunk(nn.Module):
    """A torchvision ResNet without its classifier."""

    def __init__(self, resnet: "ResNet", last_stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.relu, self.maxpool = resnet.relu, resnet.maxpool
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.layer3, self.layer4 = resnet.layer3, resnet.layer4
        if last_stride == 1:
            _unstride(self.layer4[0])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C, H/16, W/16), with last stride 2 to half of that."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _unstride(block: "BasicBlock | Bottleneck") -> None:
    """Set the stride of a stage's first block to 1 (a bottleneck strides in its 3x3)."""
    strided = block.conv2 if hasattr(block, "conv3") else block.conv1
    strided.stride = (1, 1)
    if block.downsample is not None:
        cast(nn.Conv2d, block.downsample[0]).stride = (1, 1)


def resnet(architecture: Architecture, pretrained: bool) -> Backbone:
    """Build a ResNet, with torchvision's ImageNet weights on request."""
    from torchvision.models import get_model

    name = architecture.backbone
    try:
        network = get_model(name, weights="IMAGENET1K_V1" if pretrained else None)
    except OSError as error:
        raise UserError(
            f"The ImageNet weights of {name} could not be downloaded ({error}). Go online, or "
            "set init.method to checkpoint (a local file) or warmup."
        ) from None
    return Backbone(ResNetTrunk(network, architecture.last_stride), network.fc.in_features)
