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

    def part(self, chosen: Tensor | slice) -> "PairList":
        """Return the pairs that a bool mask (n,) or a slice chooses."""
        return PairList(self.owner[chosen], self.member[chosen])


def join(first: PairList, second: PairList) -> PairList:
    """Return the pairs of two lists, sorted by owner."""
    owner = torch.cat([first.owner, second.owner])
    order = torch.argsort(owner, stable=True)
    return PairList(owner[order], torch.cat([first.member, second.member])[order])


def without(pairs: PairList, taken: PairList) -> PairList:
    """Return the pairs of a list that another list does not hold."""
    if not len(pairs.owner) or not len(taken.owner):
        return pairs
    width = int(torch.maximum(pairs.member.max(), taken.member.max())) + 1
    keys, out = (p.owner * width + p.member for p in (pairs, taken))
    return pairs.part(~torch.isin(keys, out))


def occurrence_rank(values: Tensor) -> Tensor:
    """Return how many equal values stand before each value (n,)."""
    same = values[:, None] == values[None, :]
    return torch.tril(same, diagonal=-1).sum(dim=1)


def last_occurrence(values: Tensor) -> Tensor:
    """Return a mask of the values (n,) with no equal value behind them."""
    same = values[:, None] == values[None, :]
    return torch.triu(same, diagonal=1).sum(dim=1) == 0


def canonical(pairs: Tensor) -> Tensor:
    """Return pairs int64 (P, 2) with the smaller row first.

    A symmetric function of a pair is computed for this order only, so that it is symmetric to the
    last bit.
    """
    return torch.stack([pairs.amin(dim=1), pairs.amax(dim=1)], dim=1)


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


def random_member(pairs: PairList, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw one member of each owner that has any, uniformly.

    Args:
        pairs: sorted by owner.
        generator: on the same device.

    Returns:
        The owners, int64 (b,), ascending, and a member of each, int64 (b,).
    """
    owners, counts = torch.unique_consecutive(pairs.owner, return_counts=True)
    draw = torch.rand(len(owners), generator=generator, device=pairs.owner.device)
    offset = torch.minimum((draw * counts).long(), counts - 1)
    return owners, pairs.member[counts.cumsum(0) - counts + offset]
