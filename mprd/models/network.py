"""The embedding network f: backbone, pooling, BNNeck, L2 norm; and in which numbers it computes."""

from functools import cache
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mprd.config import Config
from mprd.data.pixels import Statistics
from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture, EmbeddingTrunk, build_backbone
from mprd.models.batchnorm import group_batchnorm
from mprd.models.own_input import with_own_input
from mprd.models.pooling import POOLINGS

Precision = Literal["auto", "float32", "bfloat16"]
_FIRST_WITH_BFLOAT16 = 8  # compute capability: Ampere
_WIDE = 64  # input channels from which a convolution gains by bfloat16 in training on a CPU


def uses_bfloat16(precision: Precision, device: torch.device, network: nn.Module) -> bool:
    """Tell whether a network computes its feature maps in bfloat16.

    `auto` is a rule, not a measurement: the same machine decides alike each time. On a GPU that
    computes it bfloat16, on an older one float32; on a CPU with instructions for it bfloat16 for
    inference, and for training if the network gains by it on any machine: with grouped convolutions
    it does not, with narrow ones not beside other work (docs/explanation/learning.md).

    Args:
        precision: the setting.
        device: where it computes.
        network: in training or eval mode.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device.type != "cpu":
        return device.type == "cuda" and gpu_has_bfloat16(device)
    return cpu_has_bfloat16() and (not network.training or trains_in_bfloat16(network))


def trains_in_bfloat16(network: nn.Module) -> bool:
    """Tell whether all convolutions but the first are dense and wide; also if there are none."""
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    return all(c.groups == 1 and c.in_channels >= _WIDE for c in convolutions[1:])


def gpu_has_bfloat16(device: torch.device) -> bool:
    """Tell whether a GPU multiplies bfloat16 by itself; older ones (below 8.0) only imitate it."""
    return torch.cuda.get_device_properties(device).major >= _FIRST_WITH_BFLOAT16


@cache
def cpu_has_bfloat16() -> bool:
    """Tell whether the CPU multiplies bfloat16 by itself (AVX512-BF16 or AMX)."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


class ReidNetwork(nn.Module):
    """Images to L2-normalised embeddings.

    The BNNeck (Luo et al., CVPR Workshops 2019) is a BatchNorm1d whose bias stays zero.

    Attributes:
        architecture: what it was built from.
        dim: embedding size D.
        precision: of the backbone's map; pooling, neck and embeddings are float32 in any case.
    """

    def __init__(self, architecture: Architecture, pretrained: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        self.precision: Precision = "auto"
        self.backbone, channels = build_backbone(architecture, pretrained)
        self.dim = channels
        if isinstance(self.backbone, EmbeddingTrunk):
            self.dim = self.backbone.dim
        if architecture.pooling == "token" and not getattr(self.backbone, "class_token", False):
            raise UserError(
                f"{architecture.backbone} has no class token. Set model.pooling to gem or avg."
            )
        if architecture.pooling == "own" and not getattr(self.backbone, "pools", False):
            raise UserError(
                f"{architecture.backbone} has no pooling of its own that mprd knows. Set "
                "model.pooling to gem or avg."
            )
        self.pool = POOLINGS[architecture.pooling]()
        self.neck = nn.BatchNorm1d(self.dim)
        self.neck.bias.requires_grad_(False)
        group_batchnorm(self, architecture.bn_group_size)

    @property
    def statistics(self) -> Statistics:
        """What its input is normalised by."""
        return self.architecture.statistics

    def forward(self, images: Tensor) -> Tensor:
        """Embed normalised images.

        Args:
            images: float (B, 3, H, W), normalised by `statistics`.

        Returns:
            float32 (B, D), rows of unit length.
        """
        low = uses_bfloat16(self.precision, images.device, self)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=low):
            pooled = self.pool(self.backbone(images)).float()
        if isinstance(self.backbone, EmbeddingTrunk):
            pooled = self.backbone.embed(pooled)
        return F.normalize(self.neck(pooled), dim=1)


def architecture_of(config: Config, height: int, width: int) -> Architecture:
    """Return what a network is built from, but for an input of its own.

    Args:
        config: `model` and `data.bits` are read.
        height: of its images, pixels.
        width: of its images, pixels.
    """
    return Architecture(
        backbone=config.model.backbone,
        pooling=config.model.pooling,
        bn_group_size=config.model.bn_group_size,
        height=height,
        width=width,
        last_stride=config.model.last_stride,
        bits=config.data.bits,
    )


def build_network(
    config: Config,
    height: int,
    width: int,
    *,
    pretrained: bool,
    checkpoint: Path | None = None,
) -> ReidNetwork:
    """Return the network of a config with fresh weights, reproducible by seed.

    Args:
        config: `model`, `data.bits`, `precision` and `seed` are read.
        height: of its images, pixels.
        width: of its images, pixels.
        pretrained: take the published weights of the backbone.
        checkpoint: weights file that will be loaded; it may say what its input is normalised by.

    Raises:
        UserError: unknown backbone, or its weights cannot be had.
    """
    torch.manual_seed(config.seed)
    architecture = with_own_input(architecture_of(config, height, width), checkpoint)
    network = ReidNetwork(architecture, pretrained=pretrained)
    network.precision = config.precision
    return network
