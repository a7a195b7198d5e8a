"""The rank of an image among the images of its camera, as another image sees it.

For each image and camera only the similarities at a few ranks are kept, so that the table stays
small for any number of images.
"""

import torch
from torch import Tensor

# Fine where it matters: most identities have a handful of images in a camera.
LEVELS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128)
_ABSENT = -2.0
_ROUNDING = 1e-5  # an image is not nearer than itself, however its cosine is computed
_BLOCK_ELEMENTS = 2**24


def camera_profile(looking: Tensor, seen: Tensor, cameras: Tensor, first: int | None) -> Tensor:
    """Return the cosine at each level of every camera's images.

    Args:
        looking: float32 (m, D), unit rows, the images that look.
        seen: float32 (N, D), unit rows, the images that are ranked.
        cameras: int64 (N,), their cameras 0..C-1.
        first: row of the first looking image among those seen, which does not see itself; None:
            they are not among them.

    Returns:
        float32 (m, C, L); -2 where a camera has fewer images.
    """
    sizes = torch.bincount(cameras).tolist()
    order = torch.argsort(cameras, stable=True)
    profile = seen.new_full((len(looking), len(sizes), len(LEVELS)), _ABSENT)
    ranks = torch.tensor(LEVELS, device=seen.device) - 1
    step = max(1, _BLOCK_ELEMENTS // len(seen))
    for start in range(0, len(looking), step):
        product = looking[start : start + step] @ seen.T
        if first is not None:
            own = torch.arange(len(product), device=product.device)
            product[own, first + start + own] = _ABSENT
        for camera, columns in enumerate(order.split(sizes)):
            width = min(LEVELS[-1], len(columns))
            best = product[:, columns].topk(width, dim=1).values
            inside = ranks < width
            profile[start : start + step, camera, inside] = best[:, ranks[inside]]
    return profile


def levels_above(profile: Tensor, cosine: Tensor) -> Tensor:
    """Return at how many levels an image of the camera is nearer: 0 = nearest, 1 = second, ...

    Args:
        profile: (..., L), of the looking image and the camera of the ranked one.
        cosine: (...), of the two.
    """
    return (profile > cosine[..., None] + _ROUNDING).sum(dim=-1).float()


def level_of(rank: int) -> int:
    """Return the level of an image at a rank (1-based) within its camera."""
    return sum(level < rank for level in LEVELS)
