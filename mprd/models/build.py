"""The network that a config describes."""

import torch

from mprd.config import Config
from mprd.models.architecture import Architecture
from mprd.models.network import ReidNetwork


def build_network(config: Config, height: int, width: int, *, pretrained: bool) -> ReidNetwork:
    """Return the network of a config with fresh weights, reproducible by seed.

    Args:
        config: `model`, `precision` and `seed` are read.
        height: of its images, pixels.
        width: of its images, pixels.
        pretrained: take ImageNet weights for the backbone.

    Raises:
        UserError: unknown backbone, or no ImageNet weights for it.
    """
    torch.manual_seed(config.seed)
    architecture = Architecture(
        backbone=config.model.backbone,
        pooling=config.model.pooling,
        bn_group_size=config.model.bn_group_size,
        height=height,
        width=width,
        last_stride=config.model.last_stride,
    )
    network = ReidNetwork(architecture, pretrained=pretrained)
    network.precision = config.precision
    return network
