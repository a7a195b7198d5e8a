"""Labels from the distances of pairs, as the settings say."""

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.graph_matrix import within
from mprd.clustering.operating_point import choose_gamma
from mprd.clustering.registry import CLUSTERINGS
from mprd.config import ClusterConfig
from mprd.errors import UserError


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
        return _numbered(cluster(near, settings), near, settings), settings

    def at(gamma: float) -> np.ndarray:
        labels = cluster(near, settings.model_copy(update={"gamma": gamma}))
        return _numbered(labels, near, settings)

    gamma, labels = choose_gamma(at, confident)
    return labels, settings.model_copy(update={"gamma": gamma})


def _numbered(labels: np.ndarray, near: csr_array, settings: ClusterConfig) -> np.ndarray:
    """Return labels as 0, 1, ... without gaps, which a plugin may leave; -1 stays.

    Raises:
        UserError: they are not a whole number for each image.
    """
    labels = np.asarray(labels)
    if labels.shape != (near.shape[0],) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(
            f"cluster.method {settings.method} returned {labels.dtype} {labels.shape}. A "
            f"clustering returns a whole number for each of the {near.shape[0]} images, "
            "-1 for an outlier."
        )
    used, number = np.unique(labels[labels >= 0], return_inverse=True)
    if not np.array_equal(used, np.arange(len(used))):
        labels = np.where(labels >= 0, 0, -1)
        labels[labels >= 0] = number
    return labels.astype(np.int32, copy=False)
