"""The alignment of `mprd.graph.cameras` by torch, where the embeddings are: on a GPU too."""

import torch
from torch import Tensor

_BLOCK_ROWS = 2**13  # in float64, which as a whole would take twice the memory
_SMALLEST = 1e-6  # length below which a difference from the mean is rounding


def aligned_pair(
    seen: Tensor,
    cameras: Tensor,
    sizes: list[int],
    looking: Tensor,
    looking_cameras: Tensor,
    *,
    standardize: bool,
) -> tuple[Tensor, Tensor]:
    """Return embeddings and others of the same cameras, less what each camera's have in common.

    The mean of the camera (and the deviation) is that of the embeddings seen; sums are made in one
    order, so that they are the same in every run.

    Args:
        seen: float32 (N, D), unit rows.
        cameras: int64 (N,), 0..C-1.
        sizes: images of each camera.
        looking: float32 (m, D), unit rows.
        looking_cameras: int64 (m,).
        standardize: divide by the deviation of each dimension too.

    Returns:
        Float32 (N, D) and (m, D), unit rows; a row that equals its camera's mean stays as it was.
    """
    around, others = torch.empty_like(seen), torch.empty_like(looking)
    for camera, rows in enumerate(torch.argsort(cameras, stable=True).split(sizes)):
        mean, deviation = _statistics(seen, rows, standardize=standardize)
        for part in rows.split(_BLOCK_ROWS):
            around[part] = _align(seen[part], mean, deviation)
        own = (looking_cameras == camera)[:, None]
        others = torch.where(own, _align(looking, mean, deviation), others)
    return around, others


def _statistics(values: Tensor, rows: Tensor, *, standardize: bool) -> tuple[Tensor, Tensor | None]:
    """Return mean and deviation of some rows, float64 (D,); None: the mean alone is taken away."""
    parts = rows.split(_BLOCK_ROWS)
    mean = torch.stack([values[part].double().sum(dim=0) for part in parts]).sum(dim=0) / len(rows)
    if not standardize:
        return mean, None
    squares = [(values[part].double() - mean).square().sum(dim=0) for part in parts]
    deviation = (torch.stack(squares).sum(dim=0) / len(rows)).sqrt()
    # A dimension that never changes in a camera must not be blown up by its rounding.
    return mean, torch.maximum(deviation, (0.01 * deviation.mean()).clamp_min(_SMALLEST))


def _align(rows: Tensor, mean: Tensor, deviation: Tensor | None) -> Tensor:
    centred = rows.double() - mean
    length = centred.norm(dim=1, keepdim=True)
    if deviation is not None:
        centred = centred / deviation
    unit = centred / centred.norm(dim=1, keepdim=True).clamp_min(_SMALLEST)
    return torch.where(length > _SMALLEST, unit.float(), rows)
