"""Pixels as network input: the statistics of ImageNet, which all pretrained backbones expect."""

from functools import cache

import torch
from torch import Tensor

PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


def normalize_pixels(images: Tensor) -> Tensor:
    """Turn uint8 or float [0, 255] images (B, H, W, 3) into network input (B, 3, H, W)."""
    mean, std = _statistics(images.device)
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


@cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of pixels; uploaded to a device once."""
    mean, std = (torch.tensor(values, device=device) * 255 for values in (PIXEL_MEAN, PIXEL_STD))
    return mean, std
