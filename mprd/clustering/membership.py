"""How well each image belongs to its cluster."""

import numpy as np
from scipy.sparse import csr_array

from mprd.system.csr import entry_rows

_MOST = 1.5  # times the mean of its cluster that a member may count


def membership(
    distance: csr_array, labels: np.ndarray, sizes: np.ndarray | None = None
) -> np.ndarray:
    """Return the mean relation, 1 - distance, of each image to the others of its cluster.

    Args:
        distance: (N, N), symmetric; a pair that is not stored has relation 0, and the diagonal
            does not count.
        labels: int (N,), -1 outlier.
        sizes: int (N,), images that each row stands for, which have relation 1 to each other; None:
            one each.

    Returns:
        float32 (N,), in [0, 1]; 0 for outliers and for an image that is alone in its cluster.
    """
    count = len(labels)
    sizes = np.ones(count, np.int64) if sizes is None else sizes
    row = entry_rows(distance.indptr)
    column = distance.indices
    mates = (row != column) & (labels[row] == labels[column]) & (labels[row] >= 0)
    near = (1 - distance.data[mates].astype(np.float64)) * sizes[column[mates]]
    total = np.bincount(row[mates], near, count) + sizes - 1
    inside = labels >= 0
    whole = np.bincount(labels[inside], sizes[inside], minlength=1)
    others = np.where(inside, whole[labels] - 1, 1)
    return np.where(inside, total / np.maximum(others, 1), 0).clip(0, 1).astype(np.float32)


def doubt_rank(membership: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the place of each image in the order of doubt: 1, the first to look at, and so on.

    The order is that of the memberships, ascending. A membership is no probability: how many images
    are wrong differs from start to start at one value of it.

    Args:
        membership: float32 (N,).
        labels: int (N,), -1 outlier.

    Returns:
        int64 (N,), each number from 1 to the images in clusters once; 0 for outliers.
    """
    inside = np.flatnonzero(labels >= 0)
    rank = np.zeros(len(labels), np.int64)
    rank[inside[np.argsort(membership[inside], kind="stable")]] = np.arange(1, len(inside) + 1)
    return rank


def relative_membership(membership: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return memberships over the mean of their cluster, at most 1.5; 1 outside clusters.

    Args:
        membership: float32 (N,).
        labels: int (N,), -1 outlier.

    Returns:
        float32 (N,).
    """
    inside = labels >= 0
    sizes = np.bincount(labels[inside], minlength=1)
    mean = np.bincount(labels[inside], membership[inside], len(sizes)) / np.maximum(sizes, 1)
    relative = membership / np.maximum(mean[labels], 1e-6)
    return np.where(inside, np.minimum(relative, _MOST), 1).astype(np.float32)
