"""The batches of an epoch, on the device from its start: a step uploads and looks up nothing."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mprd.pairs.hard_pairs import Members


@dataclass(frozen=True)
class Batch:
    """What a training step is told.

    Attributes:
        rows: int64 (B,), training rows.
        members: int64 (U,), rows among which the hard pairs are, -1: none; no row where no loss
            reads hard pairs.
        host: int64 (B,), the rows in main memory.
        following: int64 (B,), those of the next step; None behind the last.
    """

    rows: Tensor
    members: Tensor
    host: np.ndarray
    following: np.ndarray | None = None


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch.

    Attributes:
        host: int64 (S, B), training rows of each step, in main memory.
        rows: the same on the device.
        members: of each batch; None where no loss reads hard pairs.
    """

    host: np.ndarray
    rows: Tensor
    members: Members | None

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.host)

    def of_step(self, step: int, *, padded: bool = False) -> Batch:
        """Return a batch; padded: of the same shapes in every step."""
        rows = self.rows[step]
        members = rows[:0]
        if self.members is not None:
            members = self.members.of_step(step, padded=padded)
        following = self.host[step + 1] if step + 1 < len(self) else None
        return Batch(rows, members, self.host[step], following)
