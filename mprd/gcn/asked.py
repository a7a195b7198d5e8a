"""The distinct pairs that a batch of the training loop asks the relation GCN about."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mprd.pairs.hard_pairs import BatchPairs


@dataclass(frozen=True)
class AskedPairs:
    """The hard pairs of a batch; a pair that occurs twice is asked about once.

    Attributes:
        pairs: int64 (Q, 2), smaller row first, ascending.
        rows: int64 (R,), distinct training rows of the batch.
        count: number of training images.
    """

    pairs: Tensor
    rows: Tensor
    count: int

    @classmethod
    def of_batch(cls, batch: BatchPairs, count: int) -> "AskedPairs":
        """List the hard pairs of a batch of `count` training images."""
        keys = torch.unique(_keys(batch, count)[batch.positive | batch.negative])
        pairs = torch.stack([keys // count, keys % count], dim=1)
        return cls(pairs, torch.unique(batch.rows), count)

    def spread(self, values: Tensor, batch: BatchPairs) -> Tensor:
        """Return the value of each hard pair, (B, U); the rest has no meaning.

        Args:
            values: (Q,), one for each pair.
            batch: the same batch.
        """
        if not len(values):
            return values.new_zeros(batch.positive.shape)
        known = self.pairs[:, 0] * self.count + self.pairs[:, 1]
        place = torch.searchsorted(known, _keys(batch, self.count))
        return values[place.clamp_max(len(values) - 1)]


def _keys(batch: BatchPairs, count: int) -> Tensor:
    """Return one number for each pair of an image and a member, in either order, (B, U)."""
    rows, members = batch.rows[:, None], batch.members[None]
    return torch.minimum(rows, members) * count + torch.maximum(rows, members)
