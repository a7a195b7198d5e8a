"""The embedding network f: backbone, pooling, BNNeck, L2 norm."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mprd.errors import UserError
from mprd.models.architecture import Architecture
from mprd.models.backbones.registry import build_backbone
from mprd.models.batchnorm import group_batchnorm
from mprd.models.pooling import POOLINGS
from mprd.models.precision import Precision, uses_bfloat16


class ReidNetwork(nn.Module):
    """Images to L2-normalised embeddings.

    The BNNeck (Luo et al., CVPR Workshops 2019) is a BatchNorm1d whose bias stays zero.

    Attributes:
        architecture: what it was built from.
        dim: embedding size D.
        precision: of the backbone; pooling, neck and embeddings are float32 in any case.
    """

    def __init__(self, architecture: Architecture, pretrained: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        self.precision: Precision = "auto"
        self.backbone, self.dim = build_backbone(architecture, pretrained)
        if architecture.pooling == "token" and not getattr(self.backbone, "class_token", False):
            raise UserError(
                f"{architecture.backbone} has no class token. Set model.pooling to gem or avg."
            )
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
        low = uses_bfloat16(self.precision, images.device, self)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=low):
            pooled = self.pool(self.backbone(images)).float()
        return F.normalize(self.neck(pooled), dim=1)
