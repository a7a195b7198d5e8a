"""The hybrid memory of SpCL: images outside clusters are classes (Ge et al., NeurIPS 2020).

Contrast with it is the paper's unified loss (eq. 2, without source classes): a cluster is the mean
of its instances (eq. 3), an image without a cluster stands for itself, and instances move slowly
(eq. 4).
"""

from typing import ClassVar

import torch
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.memories.cluster import most_equal, move_in_turn
from mprd.losses.memories.registry import MemoryInputs
from mprd.losses.memories.sums import sums_of_groups
from mprd.pairs.pair_list import equal_values, first_of


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
        self._most: int | None = None
        self._room = len(features)
        ordered = self.labels[self._order]
        sums = sums_of_groups(features[self._order], ordered, len(self._sizes))
        self.prototypes = sums / self._sizes[:, None]

    def expect(self, batches: Tensor) -> None:
        """Learn how often an image comes in a batch, and how many its classes hold, at most.

        Args:
            batches: int64 (S, B), training rows of each step.
        """
        self._most = most_equal(batches)
        classes = self.labels[batches].sort(dim=1).values
        sizes = self._sizes[classes]
        sizes[:, 1:] *= classes[:, 1:] != classes[:, :-1]
        self._room = int(sizes.sum(dim=1).max())

    @torch.no_grad()
    def update(self, rows: Tensor, features: Tensor) -> None:
        """Move the instances of a batch, and the means of their classes.

        Args:
            rows: int64 (B,), training rows; a repeated row moves once for each time.
            features: (B, D), unit rows.
        """
        features = features.detach().to(self.instances.dtype)
        same = equal_values(rows)
        move_in_turn(self.instances, rows, same, features, self.momentum, self._most)
        self._average(self.labels[rows])

    def _average(self, classes: Tensor) -> None:
        """Take the means of some classes anew; sums that are carried on would drift.

        Args:
            classes: int64 (B,), with repeats; the instances of all take at most `_room` places.
        """
        first = first_of(equal_values(classes))
        place = torch.arange(len(classes), device=classes.device)
        sizes = self._sizes[classes] * (first == place)  # a repeated class: once
        ends = sizes.cumsum(0)
        slot = torch.arange(self._room, device=classes.device)
        owner = torch.searchsorted(ends, slot, right=True)  # B: behind the last
        held = owner.clamp_max(len(classes) - 1)
        instance = self._start[classes][held] + slot - (ends - sizes)[held]
        members = self._order[instance.clamp_max(len(self._order) - 1)]
        sums = sums_of_groups(self.instances[members], owner, len(classes))
        self.prototypes[classes] = sums[first] / self._sizes[classes][:, None]


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
