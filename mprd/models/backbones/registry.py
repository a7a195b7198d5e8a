"""What a backbone is: images (B, 3, H, W) to a feature map (B, C, h, w)."""

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from mprd.models.architecture import Architecture
from mprd.pipeline.registry import Registry


class Backbone(NamedTuple):
    """A network and the number of channels it ends in."""

    network: nn.Module
    channels: int


# (what to build, whether to load ImageNet weights) -> the backbone.
BACKBONES: Registry[Callable[[Architecture, bool], Backbone]] = Registry("model.backbone")


def build_backbone(architecture: Architecture, pretrained: bool = False) -> Backbone:
    """Build the backbone of an architecture.

    Args:
        architecture: its `backbone` is one of `BACKBONES.names()`, or fits a pattern of them.
        pretrained: load ImageNet weights; most are downloaded at their first use.

    Raises:
        UserError: unknown name, no ImageNet weights, or an option that does not fit the network.
    """
    return BACKBONES[architecture.backbone](architecture, pretrained)
