"""The hybrid memory of SpCL: images outside clusters are classes (Ge et al., NeurIPS 2020).

Contrast with it is the paper's unified loss (eq. 2, without source classes): a cluster is the mean
of its instances (eq. 3), an image without a cluster stands for itself, and instances move slowly
(eq. 4).
"""

from typing import ClassVar

import torch
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.memories.cluster import move_rows
from mprd.losses.memories.registry import MemoryInputs
from mprd.pairs.pair_list import occurrence_rank


class HybridMemory:
    """Instances, and the classes that they make: clusters first, then single images.

    Attributes:
        instances: float32 (N, D), one unit row per training image.
        prototypes: float32 (K + U, D), mean instance of each class, not normalised.
        labels: int64 (N,), class of each image; outliers are numbered after the K clusters.
    """

    lone_classes: ClassVar[bool] = True

    def __init__(self, features: Tensor, labels: Tensor, momentum: float) -> None:
        """Start from the epoch's features.

        Args:
            features: float32 (N, D), unit rows; copied.
            labels: int64 (N,), 0..K-1 or -1 for outliers.
            momentum: share of an instance's old embedding that an update keeps.
        """
        self.instances, self.momentum = features.clone(), momentum
        self.labels = with_single_classes(labels)
        self._order = torch.argsort(self.labels, stable=True)
        self._sizes = torch.bincount(self.labels)
        self._start = self._sizes.cumsum(0) - self._sizes
        self.prototypes = features.new_zeros(len(self._sizes), features.shape[1])
        self._average(torch.arange(len(self._sizes), device=labels.device))

    @torch.no_grad()
    def update(self, rows: Tensor, features: Tensor) -> None:
        """Move the instances of a batch, and the means of their classes.

        Args:
            rows: int64 (B,), training rows; a repeated row moves once for each time.
            features: (B, D), unit rows.
        """
        features = features.detach().to(self.instances.dtype)
        rank = occurrence_rank(rows)
        for k in range(int(rank.max()) + 1):
            row, target = rows[rank == k], features[rank == k]
            move_rows(self.instances, row, target, self.momentum)
        self._average(torch.unique(self.labels[rows]))

    def _average(self, classes: Tensor) -> None:
        """Take the means of some classes anew; sums that are carried on would drift."""
        sizes = self._sizes[classes]
        owner = torch.repeat_interleave(torch.arange(len(classes), device=classes.device), sizes)
        first = (sizes.cumsum(0) - sizes)[owner]
        place = self._start[classes][owner] + torch.arange(len(owner), device=owner.device) - first
        total = self.prototypes.new_zeros(len(classes), self.prototypes.shape[1])
        total.index_add_(0, owner, self.instances[self._order[place]])
        self.prototypes[classes] = total / sizes[:, None]


def hybrid_memory(inputs: MemoryInputs, settings: TrainConfig) -> HybridMemory:
    """Build the memory of SpCL with the settings' momentum."""
    return HybridMemory(inputs.features, inputs.labels, settings.momentum)


def with_single_classes(labels: Tensor) -> Tensor:
    """Return labels in which each outlier has a class of its own, behind the others.

    Args:
        labels: int64 (N,), 0..K-1, -1 outlier.
    """
    outlier = labels < 0
    single = int(labels.max()) + outlier.cumsum(0) if len(labels) else labels
    return torch.where(outlier, single, labels)
