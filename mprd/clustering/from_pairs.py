"""Labels from the distances of pairs, as the settings say."""

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.operating_point import choose_gamma
from mprd.clustering.registry import CLUSTERINGS
from mprd.config import ClusterConfig


def cluster_pairs(
    near: csr_array, confident: np.ndarray, settings: ClusterConfig
) -> tuple[np.ndarray, ClusterConfig]:
    """Cluster by the method of the settings; `gamma: auto` is chosen by the confident pairs.

    Args:
        near: (N, N), distances of the pairs within eps.
        confident: int64 (P, 2), pairs of two cameras that are mutually nearest.
        settings: the `cluster` section.

    Returns:
        Labels int32 (N,), -1 outlier, and the settings with the gamma used.
    """
    cluster = CLUSTERINGS[settings.method]
    if settings.method == "dbscan" or settings.gamma != "auto":  # dbscan has no gamma
        return cluster(near, settings), settings

    def at(gamma: float) -> np.ndarray:
        return cluster(near, settings.model_copy(update={"gamma": gamma}))

    gamma, labels = choose_gamma(at, confident)
    return labels, settings.model_copy(update={"gamma": gamma})
