"""Backbones: images (B, 3, H, W) to a feature map (B, C, h, w)."""

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast

from torch import Tensor, nn

from mprd.errors import UserError
from mprd.models.ibn import add_ibn_a
from mprd.models.mini import MiniTrunk

if TYPE_CHECKING:  # importing torchvision takes as long as importing torch
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


class Backbone(NamedTuple):
    """A network and the number of channels it ends in."""

    network: nn.Module
    channels: int


_REGISTRY: dict[str, Callable[[bool], Backbone]] = {}


def register(name: str) -> Callable[[Callable[[bool], Backbone]], Callable[[bool], Backbone]]:
    """Register a function `pretrained -> Backbone` under `name`."""

    def add(build: Callable[[bool], Backbone]) -> Callable[[bool], Backbone]:
        _REGISTRY[name] = build
        return build

    return add


def names() -> list[str]:
    """Return the names of all backbones."""
    return list(_REGISTRY)


def build_backbone(name: str, pretrained: bool = False) -> Backbone:
    """Build a backbone.

    Args:
        name: one of `names()`.
        pretrained: load torchvision's ImageNet weights (downloads them at the first use).

    Raises:
        UserError: unknown name, or no ImageNet weights for it.
    """
    if name not in _REGISTRY:
        match = difflib.get_close_matches(name, names(), n=1)
        hint = f" Did you mean {match[0]}?" if match else ""
        raise UserError(f"Unknown backbone {name!r}.{hint} Known: {', '.join(names())}.")
    return _REGISTRY[name](pretrained)


class ResNetTrunk(nn.Module):
    """A torchvision ResNet without its classifier and with last-stage stride 1."""

    def __init__(self, resnet: "ResNet") -> None:
        super().__init__()
        self.conv1, self.bn1 = resnet.conv1, resnet.bn1
        self.relu, self.maxpool = resnet.relu, resnet.maxpool
        self.layer1, self.layer2 = resnet.layer1, resnet.layer2
        self.layer3, self.layer4 = resnet.layer3, resnet.layer4
        _unstride(self.layer4[0])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, C, H/16, W/16)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def _unstride(block: "BasicBlock | Bottleneck") -> None:
    """Set the stride of a stage's first block to 1 (a bottleneck strides in its 3x3)."""
    strided = block.conv2 if hasattr(block, "conv3") else block.conv1
    strided.stride = (1, 1)
    if block.downsample is not None:
        cast(nn.Conv2d, block.downsample[0]).stride = (1, 1)


@register("mini")
def _mini(pretrained: bool) -> Backbone:
    if pretrained:
        raise UserError(
            "Backbone mini has no ImageNet weights. Set init.method to warmup, or take a resnet."
        )
    return Backbone(MiniTrunk(), 192)


def _register_resnet(name: str) -> None:
    @register(name)
    def build(pretrained: bool) -> Backbone:
        from torchvision.models import get_model

        try:
            resnet = get_model(name, weights="IMAGENET1K_V1" if pretrained else None)
        except OSError as error:
            raise UserError(
                f"The ImageNet weights of {name} could not be downloaded ({error}). Go online, or "
                "set init.method to checkpoint (a local file) or warmup."
            ) from None
        return Backbone(ResNetTrunk(resnet), resnet.fc.in_features)


def _register_ibn(name: str, plain: str) -> None:
    @register(name)
    def build(pretrained: bool) -> Backbone:
        if pretrained:
            raise UserError(
                f"torchvision has no ImageNet weights of {name}. Set init.method to checkpoint "
                "and init.checkpoint to a local IBN-Net weights file."
            )
        from torchvision.models import get_model

        resnet = get_model(plain, weights=None)
        add_ibn_a([resnet.layer1, resnet.layer2, resnet.layer3])
        return Backbone(ResNetTrunk(resnet), resnet.fc.in_features)


for _name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
    _register_resnet(_name)
for _name in ("resnet50", "resnet101"):
    _register_ibn(f"{_name}_ibn_a", _name)
