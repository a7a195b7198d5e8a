"""Pixels as network input: the statistics of ImageNet, which all pretrained backbones expect."""

import torch
from torch import Tensor

PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


def normalize_pixels(images: Tensor) -> Tensor:
    """Turn uint8 or float [0, 255] images (B, H, W, 3) into network input (B, 3, H, W)."""
    mean = torch.tensor(PIXEL_MEAN, device=images.device) * 255
    std = torch.tensor(PIXEL_STD, device=images.device) * 255
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)
