"""Numbers of clusters: outliers apart, small clusters out, the rest by first appearance."""

import numpy as np


def with_single_clusters(labels: np.ndarray) -> np.ndarray:
    """Return labels in which each outlier is a cluster of its own, behind the others.

    Args:
        labels: int (N,), -1 outlier.

    Returns:
        int64 (N,).
    """
    result = labels.astype(np.int64)
    outlier = labels < 0
    result[outlier] = labels.max(initial=-1) + 1 + np.arange(outlier.sum())
    return result


def number_clusters(group: np.ndarray, min_size: int) -> np.ndarray:
    """Return labels of groups, numbered by the first member.

    Args:
        group: int (N,), any numbers.
        min_size: images of a smaller group are outliers.

    Returns:
        int32 (N,), -1 outlier.
    """
    _, first, inverse, sizes = np.unique(
        group, return_index=True, return_inverse=True, return_counts=True
    )
    kept = np.flatnonzero(sizes >= min_size)
    number = np.full(len(sizes), -1, np.int32)
    number[kept[np.argsort(first[kept])]] = np.arange(len(kept))
    return number[inverse]
