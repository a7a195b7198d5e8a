"""Pooling of a feature map (B, C, H, W) to a vector (B, C)."""

import torch
from torch import Tensor, nn


class AvgPool(nn.Module):
    """Mean over positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C)."""
        return x.float().mean(dim=(2, 3))  # a mean of bfloat16 loses digits


class MaxPool(nn.Module):
    """Maximum over positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C)."""
        return x.amax(dim=(2, 3))


class AvgMaxPool(nn.Module):
    """Sum of mean and maximum."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C)."""
        return x.float().mean(dim=(2, 3)) + x.amax(dim=(2, 3))


class GemPool(nn.Module):
    """Generalised mean with a learnt exponent, 3 at the start (Radenovic et al., T-PAMI 2019)."""

    def __init__(self, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), 3.0))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C), in float32: powers overflow and underflow in bfloat16."""
        with torch.autocast(x.device.type, enabled=False):
            powers = x.float().clamp(min=self.eps).pow(self.p.float())
            return powers.mean(dim=(2, 3)).pow(1 / self.p.float())


POOLINGS: dict[str, type[nn.Module]] = {
    "avg": AvgPool,
    "max": MaxPool,
    "gem": GemPool,
    "avg+max": AvgMaxPool,
    "token": AvgPool,  # of the one position that is the class token
    "own": AvgPool,  # of the one position that the network pools to
}
