"""Hard pairs: pairs whose cluster relation changed between two epochs (method step 4).

With the relation r_t(i, j) = 1 if i and j share a cluster in epoch t,

    P_i = {j != i : r_t = 1, r_{t-1} = 0},    N_i = {j : r_t = 0, r_{t-1} = 1}.

Sorted by (label, previous label), a cluster is one range of rows and the images that were
together before are a range inside it; so P_i and N_i are each a range with a gap, and O(N)
memory holds them all.
"""

from typing import Protocol

import torch
from torch import Tensor

from mprd.pairs.pair_list import PairList, join, without


class PairFilter(Protocol):
    """Decides which hard pairs of a batch are trained on."""

    def __call__(
        self, rows: Tensor, positives: PairList, negatives: PairList, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Tell which pairs to keep.

        Args:
            rows: int64 (B,), training rows of the batch.
            positives: its hard positives.
            negatives: its hard negatives.
            generator: on the device of `rows`.

        Returns:
            bool, one for each positive, and one for each negative.
        """

    def refresh(self, rows: Tensor) -> None:
        """Take note that the memory of some training rows, int64 (B,), has changed."""


class HardPairs:
    """Hard positives and negatives of any batch, built by tensor operations."""

    def __init__(self, labels: Tensor, previous: Tensor | None) -> None:
        """Sort the images by their labels.

        Args:
            labels: int64 (N,), pseudo-labels of this epoch, -1 outlier.
            previous: int64 (N,), those of the epoch before; None in epoch 1, when nothing
                precedes: every mate is then a hard positive and there are no hard negatives.
        """
        now = _outliers_apart(labels)
        if previous is None:
            before = torch.arange(len(labels), device=labels.device)
        else:
            before = _outliers_apart(previous)
        self._now = _Ranges(now, before)
        self._before = _Ranges(before, now)

    def positives(self, rows: Tensor) -> PairList:
        """Return P_i of each image; it may be empty.

        Args:
            rows: int64 (B,), training rows.
        """
        return self._now.outside_inner(rows)

    def mates(self, rows: Tensor) -> PairList:
        """Return all images that share a cluster with each image, without itself.

        Args:
            rows: int64 (B,), training rows.
        """
        return self._now.mates(rows, torch.ones_like(rows, dtype=torch.bool))

    def with_mates(self, rows: Tensor, pairs: PairList, rejected: PairList) -> PairList:
        """Give an image without a hard positive the mates that were not rejected, else itself.

        Args:
            rows: int64 (B,), training rows.
            pairs: hard positives of these images, perhaps filtered.
            rejected: those that the filter took away.
        """
        empty = torch.bincount(pairs.owner, minlength=len(rows)) == 0
        mates = without(self._now.mates(rows, empty), rejected)
        return self.or_self(rows, join(pairs, mates))

    def or_self(self, rows: Tensor, pairs: PairList) -> PairList:
        """Give an image without any pair itself."""
        empty = torch.bincount(pairs.owner, minlength=len(rows)) == 0
        owner = empty.nonzero()[:, 0]
        return join(pairs, PairList(owner, rows[owner]))

    def negatives(self, rows: Tensor) -> PairList:
        """Return N_i of each image.

        Args:
            rows: int64 (B,), training rows.
        """
        return self._before.outside_inner(rows)

    def counts(self) -> tuple[Tensor, Tensor]:
        """Return |P_i| (before the fallback) and |N_i| of every image, int64 (N,) each."""
        return self._now.outside_count(), self._before.outside_count()


class _Ranges:
    """Images sorted by (outer, inner) label, with the ranges of each image's two groups."""

    def __init__(self, outer: Tensor, inner: Tensor) -> None:
        count = len(outer)
        width = int(inner.max()) + 1 if count else 1
        key = outer * width + inner
        self.order = torch.argsort(key, stable=True)
        self.outer_start, self.outer_end = _group_ranges(outer[self.order], self.order)
        self.inner_start, self.inner_end = _group_ranges(key[self.order], self.order)

    def outside_inner(self, rows: Tensor) -> PairList:
        """Pair each row with its outer group without its inner one."""
        starts = torch.stack([self.outer_start[rows], self.inner_end[rows]], dim=1)
        ends = torch.stack([self.inner_start[rows], self.outer_end[rows]], dim=1)
        owner = torch.arange(len(rows), device=rows.device).repeat_interleave(2)
        return self._pairs(owner, starts.flatten(), ends.flatten())

    def outside_count(self) -> Tensor:
        """Return the size of the outer group without the inner one, for every row."""
        return (self.outer_end - self.outer_start) - (self.inner_end - self.inner_start)

    def mates(self, rows: Tensor, chosen: Tensor) -> PairList:
        """Pair each chosen row with the rest of its outer group."""
        owner = chosen.nonzero()[:, 0]
        pairs = self._pairs(owner, self.outer_start[rows[owner]], self.outer_end[rows[owner]])
        return pairs.part(pairs.member != rows[pairs.owner])

    def _pairs(self, owner: Tensor, starts: Tensor, ends: Tensor) -> PairList:
        lengths = ends - starts
        before = lengths.cumsum(0) - lengths
        position = torch.arange(int(lengths.sum()), device=owner.device)
        position += (starts - before).repeat_interleave(lengths)
        return PairList(owner.repeat_interleave(lengths), self.order[position])


def _group_ranges(sorted_key: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """Return where each image's group starts and ends in the sorted order."""
    _, group, counts = torch.unique_consecutive(sorted_key, return_inverse=True, return_counts=True)
    ends = counts.cumsum(0)
    start = torch.empty_like(order)
    end = torch.empty_like(order)
    start[order] = (ends - counts)[group]
    end[order] = ends[group]
    return start, end


def _outliers_apart(labels: Tensor) -> Tensor:
    """Give each outlier a cluster of its own."""
    own = torch.arange(len(labels), device=labels.device) + labels.max() + 1
    return torch.where(labels < 0, own, labels)
