"""Operations on pairs of images, and on masks that choose among a row of things."""

import torch
from torch import Tensor


def canonical(pairs: Tensor) -> Tensor:
    """Return pairs int64 (P, 2) with the smaller row first.

    A symmetric function of a pair is computed for this order only, so that it is symmetric to the
    last bit.
    """
    return torch.stack([pairs.amin(dim=1), pairs.amax(dim=1)], dim=1)


def random_choice(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one of the True columns of each row, uniformly.

    Args:
        mask: bool (B, U).
        generator: on the same device; each row draws one number.

    Returns:
        int64 (B,), columns; 0 in a row without any.
    """
    place = mask.cumsum(dim=1)
    count = place[:, -1]
    draw = torch.rand(len(mask), generator=generator, device=mask.device)
    wanted = torch.minimum((draw * count).long(), count - 1) + 1
    return torch.searchsorted(place, wanted[:, None])[:, 0]


def masked_argmin(values: Tensor, mask: Tensor) -> Tensor:
    """Return the column of the smallest chosen value of each row (the first of equals).

    Args:
        values: (B, U).
        mask: bool (B, U).

    Returns:
        int64 (B,); 0 in a row without any.
    """
    return values.detach().masked_fill(~mask, float("inf")).argmin(dim=1)


def equal_values(values: Tensor) -> Tensor:
    """Tell which of some values (n,) are equal, bool (n, n)."""
    return values[:, None] == values[None, :]


def first_of(mask: Tensor) -> Tensor:
    """Return the first True column of each row of a mask (n, m), int64 (n,); 0 if there is none."""
    return mask.byte().argmax(dim=1)


def last_of(mask: Tensor) -> Tensor:
    """Return the last True column of each row of a mask (n, m), int64 (n,)."""
    return mask.shape[1] - 1 - first_of(mask.flip(1))
