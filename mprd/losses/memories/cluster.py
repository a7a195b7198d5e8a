"""Instance memory M and cluster memory C (Dai et al., Cluster Contrast, ACCV 2022)."""

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.memories.registry import MemoryInputs
from mprd.pairs.pair_list import last_occurrence, occurrence_rank, segment_argmin

_LEAST = 1e-6  # a weight of 0 alone in its cluster still has a direction
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
        self._move = {"hard": self._hard, "mean": self._mean, "all": self._all}[update]

    @torch.no_grad()
    def update(self, rows: Tensor, features: Tensor) -> None:
        """Take over a batch after the optimiser step.

        Args:
            rows: int64 (B,), training rows, none an outlier; of a repeated row the last counts.
            features: (B, D), unit rows.
        """
        features = features.detach().to(self.instances.dtype)
        clusters, segment = torch.unique(self.labels[rows], return_inverse=True)
        self._move(clusters, segment, features, self.weights[rows])
        last = last_occurrence(rows)
        self.instances[rows[last]] = features[last]

    def _blend(self, clusters: Tensor, targets: Tensor) -> None:
        move_rows(self.prototypes, clusters, targets, self.momentum)

    def _hard(self, clusters: Tensor, segment: Tensor, features: Tensor, weights: Tensor) -> None:
        similarity = (features * self.prototypes[clusters[segment]]).sum(dim=1)
        similarity = similarity + 4 * (weights < _DOUBTED)  # behind all others
        self._blend(clusters, features[segment_argmin(similarity, segment, len(clusters))])

    def _mean(self, clusters: Tensor, segment: Tensor, features: Tensor, weights: Tensor) -> None:
        self._blend(clusters, segment_mean(features, segment, weights, len(clusters)))

    def _all(self, clusters: Tensor, segment: Tensor, features: Tensor, weights: Tensor) -> None:
        trusted = weights >= _DOUBTED
        segment, features = segment[trusted], features[trusted]
        if not len(segment):
            return
        rank = occurrence_rank(segment)
        for k in range(int(rank.max()) + 1):
            chosen = rank == k
            self._blend(clusters[segment[chosen]], features[chosen])


def cluster_memory(inputs: MemoryInputs, settings: TrainConfig) -> ClusterMemory:
    """Build the memory of Cluster Contrast with the settings' momentum and update."""
    return ClusterMemory(
        inputs.features, inputs.labels, settings.momentum, settings.memory_update, inputs.weights
    )


def move_rows(rows: Tensor, chosen: Tensor, targets: Tensor, momentum: float) -> None:
    """Move some unit rows towards targets, in place.

    Args:
        rows: (K, D).
        chosen: int64 (k,), distinct.
        targets: (k, D).
        momentum: share of the old row that is kept.
    """
    rows[chosen] = F.normalize(momentum * rows[chosen] + (1 - momentum) * targets, dim=1)


def segment_mean(features: Tensor, segment: Tensor, weights: Tensor, count: int) -> Tensor:
    """Return the weighted mean of each segment, (count, D).

    Args:
        features: (B, D).
        segment: int64 (B,), below `count`; each segment has a member.
        weights: (B,), at least 0.
        count: number of segments.
    """
    weights = weights.to(features.dtype).clamp_min(_LEAST)[:, None]
    total = features.new_zeros(count, features.shape[1])
    total.index_add_(0, segment, features * weights)
    return total / features.new_zeros(count, 1).index_add_(0, segment, weights)


def centroids(features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the normalised, weighted mean of each cluster.

    Args:
        features: (N, D).
        labels: int64 (N,), 0..K-1, -1 outlier.
        weights: (N,), at least 0; None: all count alike.

    Returns:
        (K, D), unit rows.
    """
    inside = labels >= 0
    if weights is not None:
        features = features * weights.clamp_min(_LEAST)[:, None]
    count = int(labels.max()) + 1
    total = features.new_zeros(count, features.shape[1])
    total.index_add_(0, labels[inside], features[inside])
    return F.normalize(total, dim=1)
