"""Hard pairs: pairs whose cluster relation changed between two epochs (method step 4).

With the relation r_t(i, j) = 1 if i and j share a cluster in epoch t,

    P_i = {j != i : r_t = 1, r_{t-1} = 0},    N_i = {j : r_t = 0, r_{t-1} = 1}.

The pairs of a batch are masks over the images that share a cluster with one of the batch, now or
before. Which images these are is found for a whole epoch at once, so that a step has known shapes
and asks nothing back from the device.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

_CELLS = 2**22  # steps x images that are looked through at once


@dataclass(frozen=True)
class BatchPairs:
    """How the images of a batch are related to the images that share a cluster with one of them.

    Attributes:
        rows: int64 (B,), training rows of the batch.
        members: int64 (U,), training rows, distinct; -1 in columns that hold none.
        positive: bool (B, U), hard positives.
        negative: bool (B, U), hard negatives.
        mate: bool (B, U), other images of the cluster.
        itself: bool (B, U), the image.
    """

    rows: Tensor
    members: Tensor
    positive: Tensor
    negative: Tensor
    mate: Tensor
    itself: Tensor

    def positives_left(self, rejected: Tensor) -> Tensor:
        """Return the positives to train on, bool (B, U): at least one for each image.

        An image whose hard positives are all rejected takes its other mates, and one without any
        takes itself.

        Args:
            rejected: bool (B, U), hard positives that are not to be used.
        """
        left = self.positive & ~rejected
        left = left | (self.mate & ~rejected & ~left.any(dim=1, keepdim=True))
        return self.or_self(left)

    def or_self(self, chosen: Tensor) -> Tensor:
        """Return a choice bool (B, U) in which an image without any has itself."""
        return chosen | (self.itself & ~chosen.any(dim=1, keepdim=True))


class PairFilter(Protocol):
    """Decides which hard pairs of a batch are trained on."""

    def expect(self, pairs: "HardPairs", batches: Tensor, members: "Members") -> None:
        """Prepare for the batches of an epoch, before the first.

        Args:
            pairs: hard pairs of the epoch.
            batches: int64 (S, B), training rows of each step.
            members: of these batches.
        """

    def __call__(self, pairs: BatchPairs, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Tell which pairs of the next batch to keep.

        Args:
            pairs: of the batch.
            generator: on its device.

        Returns:
            bool (B, U) each: hard positives, and hard negatives.
        """

    def refresh(self) -> None:
        """Take note that the memory of the batch's training rows has changed."""


@dataclass(frozen=True)
class Members:
    """The images that share a cluster with an image of a batch, for each step of an epoch.

    Attributes:
        rows: int64 (S, W), training rows in one order for all steps, -1 behind the last.
        counts: images of each step.
    """

    rows: Tensor
    counts: list[int]

    def of_step(self, step: int, *, padded: bool = False) -> Tensor:
        """Return the images of a step, int64 (U,), or (W,) with -1 where padded."""
        return self.rows[step] if padded else self.rows[step, : self.counts[step]]


class HardPairs:
    """Hard positives and negatives of any batch, built by tensor operations."""

    def __init__(self, labels: Tensor, previous: Tensor | None) -> None:
        """Compare the labels of two epochs.

        Args:
            labels: int64 (N,), pseudo-labels of this epoch, -1 outlier.
            previous: int64 (N,), those of the epoch before; None in epoch 1, when nothing
                precedes: every mate is then a hard positive and there are no hard negatives.
        """
        own = torch.arange(len(labels), device=labels.device)
        self._now = _outliers_apart(labels)
        self._before = own if previous is None else _outliers_apart(previous)
        self._order = torch.argsort(self._both(), stable=True)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._now)

    def members(self, batches: Tensor) -> Members:
        """Find the images that share a cluster with one of a batch, now or before.

        Args:
            batches: int64 (S, B), training rows of each step.
        """
        block = max(1, _CELLS // max(1, len(self)))
        found: list[Tensor] = []
        for part in batches.split(block):
            touched = self._touched(part)
            counts = touched.sum(dim=1).tolist()
            if 2 * max(counts) > len(self):  # then each step looks at all images, without a list
                return Members(self._order.expand(len(batches), -1), [len(self)] * len(batches))
            places = touched.nonzero()[:, 1]
            found += [self._order[place] for place in places.split(counts)]
        rows = pad_sequence(found, batch_first=True, padding_value=-1)
        return Members(rows, [len(part) for part in found])

    def of_batch(self, rows: Tensor, members: Tensor) -> BatchPairs:
        """Return the pairs of a batch.

        Args:
            rows: int64 (B,), training rows.
            members: int64 (U,), of this batch; -1: none.
        """
        there = members >= 0
        now, before = (
            (label[rows][:, None] == label[members][None]) & there
            for label in (self._now, self._before)
        )
        itself = rows[:, None] == members[None]
        return BatchPairs(rows, members, now & ~before, before & ~now, now & ~itself, itself)

    def counts(self) -> tuple[Tensor, Tensor]:
        """Return |P_i| (before the fallback) and |N_i| of every image, int64 (N,) each."""
        now, before, both = (_sizes(x) for x in (self._now, self._before, self._both()))
        return now - both, before - both

    def _both(self) -> Tensor:
        width = int(self._before.max()) + 1 if len(self) else 1
        return self._now * width + self._before

    def _touched(self, batches: Tensor) -> Tensor:
        """Tell which images, in `_order`, share a cluster with one of a batch, bool (S, N)."""
        found = torch.zeros(len(batches), len(self), dtype=torch.bool, device=batches.device)
        for label in (self._now, self._before):
            clusters = torch.zeros(
                len(batches), int(label.max()) + 1, dtype=torch.bool, device=batches.device
            )
            clusters.scatter_(1, label[batches], True)
            found |= clusters[:, label[self._order]]
        return found


def _sizes(labels: Tensor) -> Tensor:
    """Return how many images have the label of each image."""
    _, group, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    return counts[group]


def _outliers_apart(labels: Tensor) -> Tensor:
    """Give each outlier a cluster of its own."""
    own = torch.arange(len(labels), device=labels.device) + labels.max() + 1
    return torch.where(labels < 0, own, labels)
