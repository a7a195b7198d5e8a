"""Instance memory M and cluster memory C (Dai et al., Cluster Contrast, ACCV 2022)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.pairs.pair_list import segment_argmin


class ClusterMemory:
    """The embeddings that a batch is compared with; never part of the autograd graph.

    Attributes:
        instances: float32 (N, D), one unit row per training image.
        prototypes: float32 (K, D), one unit row per cluster.
        labels: int64 (N,), cluster of each image, -1 outlier.
    """

    def __init__(
        self,
        features: Tensor,
        labels: Tensor,
        momentum: float,
        update: Literal["hard", "mean", "all"],
    ) -> None:
        """Start from the epoch's features.

        Args:
            features: float32 (N, D), unit rows; copied.
            labels: int64 (N,), 0..K-1 or -1 for outliers.
            momentum: share m of the old prototype that an update keeps.
            update: which batch members a prototype moves to.
        """
        self.instances = features.clone()
        self.labels = labels
        self.prototypes = centroids(features, labels)
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
        self._move(clusters, segment, features)
        last = _last_occurrence(rows)
        self.instances[rows[last]] = features[last]

    def _blend(self, clusters: Tensor, targets: Tensor) -> None:
        mixed = self.momentum * self.prototypes[clusters] + (1 - self.momentum) * targets
        self.prototypes[clusters] = F.normalize(mixed, dim=1)

    def _hard(self, clusters: Tensor, segment: Tensor, features: Tensor) -> None:
        similarity = (features * self.prototypes[clusters[segment]]).sum(dim=1)
        self._blend(clusters, features[segment_argmin(similarity, segment, len(clusters))])

    def _mean(self, clusters: Tensor, segment: Tensor, features: Tensor) -> None:
        total = features.new_zeros(len(clusters), features.shape[1])
        total.index_add_(0, segment, features)
        counts = torch.bincount(segment, minlength=len(clusters))
        self._blend(clusters, total / counts[:, None])

    def _all(self, clusters: Tensor, segment: Tensor, features: Tensor) -> None:
        rank = _occurrence_rank(segment)
        for k in range(int(rank.max()) + 1):
            chosen = rank == k
            self._blend(clusters[segment[chosen]], features[chosen])


def centroids(features: Tensor, labels: Tensor) -> Tensor:
    """Return the normalised mean of each cluster.

    Args:
        features: (N, D).
        labels: int64 (N,), 0..K-1, -1 outlier.

    Returns:
        (K, D), unit rows.
    """
    inside = labels >= 0
    count = int(labels.max()) + 1
    total = features.new_zeros(count, features.shape[1])
    total.index_add_(0, labels[inside], features[inside])
    return F.normalize(total, dim=1)


def _occurrence_rank(values: Tensor) -> Tensor:
    """Return how many equal values stand before each value."""
    same = values[:, None] == values[None, :]
    return torch.tril(same, diagonal=-1).sum(dim=1)


def _last_occurrence(values: Tensor) -> Tensor:
    """Return a mask of the values with no equal value behind them."""
    same = values[:, None] == values[None, :]
    return torch.triu(same, diagonal=1).sum(dim=1) == 0
