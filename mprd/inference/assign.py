"""Give new images to the clusters of a run."""

from dataclasses import dataclass

import numpy as np

_STRICT = 0.05  # share of a cluster's own members that may be less similar to it than required


@dataclass(frozen=True)
class Assignment:
    """The clusters of some images.

    Attributes:
        cluster: int32 (n,), -1: similar enough to no cluster, perhaps someone new.
        similarity: float32 (n,), cosine to the mean of the nearest cluster.
        margin: float32 (n,), how much less similar the second nearest cluster is.
    """

    cluster: np.ndarray
    similarity: np.ndarray
    margin: np.ndarray


class Clusters:
    """Clusters of known features, as new images are compared with them.

    Attributes:
        means: float32 (K, D), unit rows.
        least: float32 (K,), cosine that an image must reach to belong.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Take the mean of each cluster, and how similar its members are to it.

        A member is compared with the mean of the others, as a new image will be. The threshold is
        the 5 % quantile of that; in clusters of fewer than 20, all members pass.

        Args:
            features: float32 (N, D), unit rows.
            labels: int (N,), -1 outlier; at least one cluster of two.

        Raises:
            ValueError: no cluster has two images.
        """
        inside = np.flatnonzero(labels >= 0)
        if not len(inside) or np.bincount(labels[inside]).max() < 2:
            raise ValueError("there is no cluster of two images or more")
        count = int(labels.max()) + 1
        total = np.zeros((count, features.shape[1]))
        np.add.at(total, labels[inside], features[inside])
        self.means = _unit(total)
        own = labels[inside]
        others = _unit(total[own] - features[inside])
        near = (others * features[inside]).sum(axis=1)
        order = np.lexsort((near, own))
        sizes = np.bincount(own, minlength=count)
        first = np.cumsum(sizes) - sizes
        self.least = near[order][first + (_STRICT * sizes).astype(int)].astype(np.float32)

    def assign(self, features: np.ndarray) -> Assignment:
        """Compare images with all clusters.

        Args:
            features: float32 (n, D), unit rows.
        """
        similarity = features @ self.means.T
        nearest = similarity.argmax(axis=1)
        rows = np.arange(len(features))
        best = similarity[rows, nearest]
        similarity[rows, nearest] = -1
        return Assignment(
            cluster=np.where(best >= self.least[nearest], nearest, -1).astype(np.int32),
            similarity=best.astype(np.float32),
            margin=(best - similarity.max(axis=1)).astype(np.float32),
        )


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)
