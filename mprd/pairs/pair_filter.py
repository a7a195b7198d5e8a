"""What training asks of a filter of hard pairs; the relation GCN gives one."""

from typing import Protocol

import torch
from torch import Tensor

from mprd.pairs.pair_list import PairList


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
