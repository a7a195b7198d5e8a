"""Labels from the distances of pairs, as the settings say."""

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.graph_matrix import within
from mprd.clustering.operating_point import choose_gamma
from mprd.clustering.registry import CLUSTERINGS
from mprd.config import ClusterConfig


def counted_pairs(distance: csr_array, radius: np.ndarray, settings: ClusterConfig) -> csr_array:
    """Return the distances that count for a clustering: those within eps, for linkage all.

    Args:
        distance: (N, N), of the stored pairs.
        radius: float (nnz,), what eps is compared with.
        settings: the `cluster` section.
    """
    return distance if settings.method == "linkage" else within(distance, radius <= settings.eps)


def cluster_pairs(
    near: csr_array, confident: np.ndarray, settings: ClusterConfig
) -> tuple[np.ndarray, ClusterConfig]:
    """Cluster by the method of the settings; `gamma: auto` is chosen by the confident pairs.

    Args:
        near: (N, N), distances of the pairs that count.
        confident: int64 (P, 2), pairs of two cameras that are mutually nearest.
        settings: the `cluster` section.

    Returns:
        Labels int32 (N,), -1 outlier, and the settings with the gamma used.
    """
    cluster = CLUSTERINGS[settings.method]
    if settings.method in ("dbscan", "linkage") or settings.gamma != "auto":
        return cluster(near, settings), settings

    def at(gamma: float) -> np.ndarray:
        return cluster(near, settings.model_copy(update={"gamma": gamma}))

    gamma, labels = choose_gamma(at, confident)
    return labels, settings.model_copy(update={"gamma": gamma})
