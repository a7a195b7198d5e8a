"""Instance memory M and cluster memory C (Dai et al., Cluster Contrast, ACCV 2022)."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.memories.registry import MemoryInputs
from mprd.losses.memories.sums import centroids, cluster_means
from mprd.pairs.pair_list import (
    equal_values,
    first_of,
    last_of,
    masked_argmin,
)

_DOUBTED = 0.5  # weight below which no prototype moves to a member


class ClusterMemory:
    """The embeddings that a batch is compared with; never part of the autograd graph.

    With weights a prototype is the weighted mean of its members, and moves to the weighted mean of
    a batch, or passes over members that its cluster doubts (`hard` if it has others).

    Attributes:
        instances: float32 (N, D), one unit row per training image.
        prototypes: float32 (K, D), one unit row per cluster.
        labels: int64 (N,), cluster of each image, -1 outlier.
        weights: float32 (N,), how much each image counts; all 1 by default.
    """

    lone_classes: ClassVar[bool] = False

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        momentum: float,
        update: Literal["hard", "mean", "all"],
        weights: Tensor | None = None,
    ) -> None:
        """Start from the epoch's features.

        Args:
            features: float32 (N, D), unit rows; copied.
            labels: int64 (N,), 0..K-1 or -1 for outliers.
            momentum: share m of the old prototype that an update keeps.
            update: which batch members a prototype moves to.
            weights: float32 (N,), at least 0; None: all count alike.
        """
        self.instances = features.clone()
        self.labels = labels
        self.weights = torch.ones_like(features[:, 0]) if weights is None else weights
        self.prototypes = centroids(features, labels, weights)
        self.momentum = momentum
        self._most: int | None = None
        self._move = {"hard": self._hard, "mean": self._mean, "all": self._all}[update]

    def expect(self, batches: Tensor) -> None:
        """Learn how many images of one cluster a batch of the epoch holds at most.

        Args:
            batches: int64 (S, B), training rows of each step.
        """
        self._most = most_equal(self.labels[batches])

    @torch.no_grad()
    def update(self, rows: Tensor, features: Tensor) -> None:
        """Take over a batch after the optimiser step.

        Args:
            rows: int64 (B,), training rows, none an outlier; of a repeated row the last counts.
            features: (B, D), unit rows.
        """
        features = features.detach().to(self.instances.dtype)
        clusters = self.labels[rows]
        self._move(clusters, equal_values(clusters), features, self.weights[rows])
        self.instances[rows] = features[last_of(equal_values(rows))]

    # In each of these, images of one cluster find one target: they write the same row alike.

    def _hard(self, clusters: Tensor, same: Tensor, features: Tensor, weights: Tensor) -> None:
        similarity = (features * self.prototypes[clusters]).sum(dim=1)
        similarity = similarity + 4 * (weights < _DOUBTED)  # behind all others
        hardest = masked_argmin(similarity.expand_as(same), same)
        move_rows(self.prototypes, clusters, features[hardest], self.momentum)

    def _mean(self, clusters: Tensor, same: Tensor, features: Tensor, weights: Tensor) -> None:
        mean = cluster_means(features, same, weights)
        move_rows(self.prototypes, clusters, mean, self.momentum)

    def _all(self, clusters: Tensor, same: Tensor, features: Tensor, weights: Tensor) -> None:
        same = same & (weights >= _DOUBTED)
        move_in_turn(self.prototypes, clusters, same, features, self.momentum, self._most)


def cluster_memory(inputs: MemoryInputs, settings: TrainConfig) -> ClusterMemory:
    """Build the memory of Cluster Contrast with the settings' momentum and update."""
    return ClusterMemory(
        inputs.features, inputs.labels, settings.momentum, settings.memory_update, inputs.weights
    )


def move_rows(rows: Tensor, chosen: Tensor, targets: Tensor, momentum: float) -> None:
    """Move some unit rows towards targets, in place.

    Args:
        rows: (K, D).
        chosen: int64 (k,); equal ones have equal targets.
        targets: (k, D).
        momentum: share of the old row that is kept.
    """
    rows[chosen] = _towards(rows[chosen], targets, momentum)


def move_in_turn(
    rows: Tensor, chosen: Tensor, same: Tensor, targets: Tensor, momentum: float, most: int | None
) -> None:
    """Move some unit rows towards one target after the other, in place.

    Args:
        rows: (K, D).
        chosen: int64 (B,), row of each target, with repeats.
        same: bool (B, B), the targets that the row of each target moves to, in their order.
        targets: (B, D).
        momentum: share of the old row that each move keeps.
        most: targets that a row has at most; None: B.
    """
    rank = same.cumsum(dim=1)
    for turn in range(1, 1 + (len(chosen) if most is None else most)):
        now = same & (rank == turn)
        old = rows[chosen]
        moved = _towards(old, targets[first_of(now)], momentum)
        rows[chosen] = torch.where(now.any(dim=1, keepdim=True), moved, old)


def most_equal(values: Tensor) -> int:
    """Return how often a value stands in one row at most.

    Args:
        values: int64 (S, B).
    """
    ordered = values.sort(dim=1).values
    place = torch.arange(values.shape[1], device=values.device).expand_as(ordered)
    begins = torch.ones_like(ordered, dtype=torch.bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return int((place - torch.where(begins, place, 0).cummax(dim=1).values).max()) + 1


def _towards(rows: Tensor, targets: Tensor, momentum: float) -> Tensor:
    return F.normalize(momentum * rows + (1 - momentum) * targets, dim=1)
