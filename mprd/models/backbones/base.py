"""What a backbone is: images (B, 3, H, W) to a feature map (B, C, h, w)."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from mprd.pipeline.registry import Registry


class Backbone(NamedTuple):
    """A network and the number of channels it ends in."""

    network: nn.Module
    channels: int


# (name, whether to load ImageNet weights) -> the backbone.
BACKBONES: Registry[Callable[[str, bool], Backbone]] = Registry("model.backbone")


def build_backbone(name: str, pretrained: bool = False) -> Backbone:
    """Build a backbone.

    Args:
        name: one of `BACKBONES.names()`.
        pretrained: load ImageNet weights (downloads them at the first use).

    Raises:
        UserError: unknown name, or no ImageNet weights for it.
    """
    return BACKBONES[name](name, pretrained)
