"""The embedding network f: backbone, pooling, BNNeck, L2 norm."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mprd.models.backbones.base import build_backbone
from mprd.models.batchnorm import group_batchnorm
from mprd.models.pooling import POOLINGS


@dataclass(frozen=True)
class Architecture:
    """All that is needed to build the network; stored with its weights."""

    backbone: str
    pooling: str
    bn_group_size: int
    height: int
    width: int

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)


class ReidNetwork(nn.Module):
    """Images to L2-normalised embeddings.

    The BNNeck (Luo et al., CVPR Workshops 2019) is a BatchNorm1d whose bias stays zero.
    """

    def __init__(self, architecture: Architecture, pretrained: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        self.backbone, self.dim = build_backbone(architecture.backbone, pretrained)
        self.pool = POOLINGS[architecture.pooling]()
        self.neck = nn.BatchNorm1d(self.dim)
        self.neck.bias.requires_grad_(False)
        group_batchnorm(self, architecture.bn_group_size)

    def forward(self, images: Tensor) -> Tensor:
        """Embed normalised images.

        Args:
            images: float (B, 3, H, W), ImageNet-normalised.

        Returns:
            float32 (B, D), rows of unit length.
        """
        pooled = self.pool(self.backbone(images)).float()
        with torch.autocast(pooled.device.type, enabled=False):
            return F.normalize(self.neck(pooled), dim=1)
