"""Operations on ragged lists: values that each belong to an owner, as flat tensors."""

from typing import NamedTuple

import torch
from torch import Tensor


class PairList(NamedTuple):
    """Pairs (batch position, training row), sorted by batch position.

    Attributes:
        owner: int64 (n,), position in the batch.
        member: int64 (n,), row of the training images.
    """

    owner: Tensor
    member: Tensor


def pair_similarities(x: Tensor, memory: Tensor, pairs: PairList) -> Tensor:
    """Return x[owner] . memory[member] for every pair.

    One matrix product with each distinct member replaces n gathered rows.

    Args:
        x: (B, D).
        memory: (N, D).
        pairs: n pairs.

    Returns:
        (n,), differentiable in `x`.
    """
    rows, inverse = torch.unique(pairs.member, return_inverse=True)
    return (x @ memory[rows].T)[pairs.owner, inverse]


def segment_argmin(values: Tensor, segment: Tensor, count: int) -> Tensor:
    """Return the position of the smallest value of each segment (the first among equals).

    Args:
        values: (n,).
        segment: int64 (n,), segment of each value, in [0, count).
        count: number of segments; each must own a value.

    Returns:
        int64 (count,).
    """
    values = values.detach()
    lowest = values.new_full((count,), float("inf"))
    lowest.scatter_reduce_(0, segment, values, "amin")
    position = torch.arange(len(values), device=values.device)
    position = torch.where(values == lowest[segment], position, len(values))
    first = position.new_full((count,), len(values))
    # NaN equals nothing: stay inside the list, the NaN itself is reported by the training loop.
    return first.scatter_reduce_(0, segment, position, "amin").clamp_(max=len(values) - 1)


def random_member(pairs: PairList, batch: int, generator: torch.Generator) -> Tensor:
    """Draw one member of each owner uniformly.

    Args:
        pairs: every owner in [0, batch) must own a pair.
        batch: number of owners B.
        generator: on the same device.

    Returns:
        int64 (B,), training rows.
    """
    counts = torch.bincount(pairs.owner, minlength=batch)
    starts = counts.cumsum(0) - counts
    draw = torch.rand(batch, generator=generator, device=pairs.owner.device)
    offset = torch.minimum((draw * counts).long(), counts - 1)
    return pairs.member[starts + offset]
