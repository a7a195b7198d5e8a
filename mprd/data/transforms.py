"""Augmentation of whole batches by tensor operations, driven by one generator."""

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.config import AugmentConfig, WarmupConfig
from mprd.data.pixels import Statistics, normalize_pixels

_GRAY = (0.299, 0.587, 0.114)
_YIQ = (_GRAY, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


def augment(
    images: Tensor, settings: AugmentConfig, statistics: Statistics, generator: torch.Generator
) -> Tensor:
    """Flip, pad and crop, jitter, normalise, erase: the views of the training loop.

    Padding and erased rectangles have the mean colour, zero after normalisation.

    Args:
        images: uint8 (B, H, W, 3).
        settings: the `augment` section.
        statistics: what the network normalises by.
        generator: on the device of `images`.

    Returns:
        float32 (B, 3, H, W).
    """
    moved, inside = _shift_and_flip(images, settings.pad, settings.flip, generator)
    if settings.jitter:
        moved = color_jitter(moved.float(), settings.jitter, generator)
    return normalize_pixels(moved, statistics) * (
        inside & ~_erased(images, settings.erase, generator)
    )


def view_pixels(
    images: Tensor, settings: AugmentConfig, statistics: Statistics, generator: torch.Generator
) -> Tensor:
    """Make one view per image as `augment` does, but as pixels, which can be kept in a file.

    Args:
        images: uint8 (B, H, W, 3).
        settings: the `augment` section.
        statistics: what the network normalises by.
        generator: on the device of `images`.

    Returns:
        uint8 (B, H, W, 3).
    """
    moved, inside = _shift_and_flip(images, settings.pad, settings.flip, generator)
    view = moved.float()
    if settings.jitter:
        view = color_jitter(view, settings.jitter, generator)
    shown = (inside & ~_erased(images, settings.erase, generator)).permute(0, 2, 3, 1)
    mean = torch.tensor(statistics.mean, device=images.device) * 255
    return torch.where(shown, view, mean).round().to(torch.uint8)


def augment_warmup(
    images: Tensor,
    settings: WarmupConfig,
    base: AugmentConfig,
    statistics: Statistics,
    generator: torch.Generator,
) -> Tensor:
    """Make one strongly changed view per image, for the self-supervised warm-up.

    Args:
        images: uint8 (B, H, W, 3).
        settings: the `init.warmup` section.
        base: the `augment` section (flip and erasing).
        statistics: what the network normalises by.
        generator: on the device of `images`.

    Returns:
        float32 (B, 3, H, W).
    """
    view = _random_resized_crop(images, settings.min_scale, base.flip, generator)
    view = color_jitter(view, settings.jitter, generator)
    view = _turn_hue(view, settings.hue, generator)
    view = _drop_color(view, settings.grayscale, generator)
    return normalize_pixels(view, statistics) * ~_erased(images, base.erase, generator)


def color_jitter(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation by factors in 1 +- strength, per image.

    Args:
        images: float (B, H, W, 3) in [0, 255].
        strength: largest relative change.
        generator: on the device of `images`.

    Returns:
        float (B, H, W, 3) in [0, 255].
    """
    brightness, contrast, saturation = (
        1 + strength * (2 * _rand(images, generator) - 1) for _ in range(3)
    )
    images = images * brightness
    mean = _gray(images).mean(dim=(1, 2, 3), keepdim=True)
    images = mean + contrast * (images - mean)
    gray = _gray(images)
    return (gray + saturation * (images - gray)).clamp(0, 255)


def _rand(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return uniform (B, 1, 1, 1)."""
    return torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)


def _gray(images: Tensor) -> Tensor:
    return (images * _to_yiq(images.device)[0][0]).sum(dim=3, keepdim=True)


@cache
def _to_yiq(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the matrix from RGB to YIQ, its first row is gray, and its inverse; uploaded once."""
    matrix = torch.tensor(_YIQ, device=device)
    return matrix, torch.linalg.inv(matrix)


def _shift_and_flip(
    images: Tensor, pad: int, flip: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Move each image by up to `pad` pixels and mirror some, by one gather.

    Returns:
        uint8 (B, H, W, 3), and bool (B, 1, H, W): False where the padding shows.
    """
    batch, height, width, _ = images.shape
    device = images.device
    shift = torch.randint(-pad, pad + 1, (2, batch, 1), generator=generator, device=device)
    mirrored = _rand(images, generator)[:, 0, 0] < flip
    rows = torch.arange(height, device=device) + shift[0]
    columns = torch.arange(width, device=device) + shift[1]
    columns = torch.where(mirrored, width - 1 - columns, columns)
    inside_row = (rows >= 0) & (rows < height)
    inside_column = (columns >= 0) & (columns < width)
    moved = images[
        torch.arange(batch, device=device)[:, None, None],
        rows.clamp(0, height - 1)[:, :, None],
        columns.clamp(0, width - 1)[:, None, :],
    ]
    return moved, (inside_row[:, :, None] & inside_column[:, None, :])[:, None]


def _erased(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Draw rectangles of 2-40 % of the area (Zhong et al., Random Erasing, AAAI 2020).

    Returns:
        bool (B, 1, H, W), True inside the rectangle.
    """
    batch, height, width, _ = images.shape
    draw = torch.rand(5, batch, 1, generator=generator, device=images.device)
    area = (0.02 + 0.38 * draw[0]) * height * width
    aspect = torch.exp((2 * draw[1] - 1) * math.log(1 / 0.3))
    box_height = torch.sqrt(area * aspect).round().clamp(1, height)
    box_width = torch.sqrt(area / aspect).round().clamp(1, width)
    top = torch.floor(draw[2] * (height - box_height + 1))
    left = torch.floor(draw[3] * (width - box_width + 1))
    rows = torch.arange(height, device=images.device)
    columns = torch.arange(width, device=images.device)
    inside_row = (rows >= top) & (rows < top + box_height) & (draw[4] < probability)
    inside_column = (columns >= left) & (columns < left + box_width)
    return (inside_row[:, :, None] & inside_column[:, None, :])[:, None]


def _random_resized_crop(
    images: Tensor, min_scale: float, flip: float, generator: torch.Generator
) -> Tensor:
    """Crop a random part of the image, mirror some, and resize it back (bilinear)."""
    batch, height, width, _ = images.shape
    draw = torch.rand(5, batch, generator=generator, device=images.device)
    scale = min_scale + (1 - min_scale) * draw[0]
    aspect = torch.exp((2 * draw[1] - 1) * math.log(4 / 3) / 2)
    size_y = (scale.sqrt() * aspect).clamp(max=1)
    size_x = (scale.sqrt() / aspect).clamp(max=1)
    center_y = (2 * draw[2] - 1) * (1 - size_y)
    center_x = (2 * draw[3] - 1) * (1 - size_x)
    sign = 1 - 2 * (draw[4] < flip).float()
    zero = torch.zeros_like(sign)
    theta = torch.stack(
        [
            torch.stack([size_x * sign, zero, center_x], dim=1),
            torch.stack([zero, size_y, center_y], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, [batch, 3, height, width], align_corners=False)
    source = images.permute(0, 3, 1, 2).float()
    cropped = F.grid_sample(source, grid, padding_mode="border", align_corners=False)
    return cropped.permute(0, 2, 3, 1)


def _turn_hue(images: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Turn the hue by up to `strength` turns: a rotation of the chroma plane of YIQ."""
    if strength == 0:
        return images
    to_yiq, back = _to_yiq(images.device)
    angle = 2 * math.pi * strength * (2 * _rand(images, generator)[:, 0, 0, 0] - 1)
    rotation = torch.eye(3, device=images.device).repeat(len(images), 1, 1)
    rotation[:, 1, 1] = rotation[:, 2, 2] = angle.cos()
    rotation[:, 1, 2] = -angle.sin()
    rotation[:, 2, 1] = angle.sin()
    change = back @ rotation @ to_yiq
    return torch.einsum("bhwc,bdc->bhwd", images, change).clamp(0, 255)


def _drop_color(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    return torch.where(_rand(images, generator) < probability, _gray(images), images)
