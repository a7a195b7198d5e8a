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


def number_clusters(
    group: np.ndarray, min_size: int, sizes: np.ndarray | None = None
) -> np.ndarray:
    """Return labels of groups, numbered by the first member.

    Args:
        group: int (N,), any numbers.
        min_size: images of a smaller group are outliers.
        sizes: int (N,), images that each row stands for; None: one each.

    Returns:
        int32 (N,), -1 outlier.
    """
    _, first, inverse = np.unique(group, return_index=True, return_inverse=True)
    images = np.bincount(inverse, sizes, len(first))
    kept = np.flatnonzero(images >= min_size)
    number = np.full(len(first), -1, np.int32)
    number[kept[np.argsort(first[kept])]] = np.arange(len(kept))
    return number[inverse]


def numbers_of(labels: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return the number of each image's cluster.

    Args:
        labels: int (N,), -1 outlier.
        number: int32 (K,), what people call each cluster.

    Returns:
        int32 (N,), -1 outlier.
    """
    return np.append(number, np.int32(-1))[labels]


def keep_numbers(labels: np.ndarray, before: np.ndarray, following: int) -> np.ndarray:
    """Return a number for each cluster that goes on from earlier clusters.

    The largest overlaps are served first: a cluster takes the number of the earlier one with
    which it shares most images, if no other shares more with it. Of equal overlaps the smaller
    earlier number comes first, then the smaller label.

    Args:
        labels: int (N,), -1 outlier.
        before: int (N,), the earlier number of each image's cluster, -1 outlier or new image.
        following: number of the first cluster that shares nothing; above all earlier ones.

    Returns:
        int32 (K,), all different.
    """
    result = np.full(int(labels.max(initial=-1)) + 1, -1, np.int32)
    both = (labels >= 0) & (before >= 0)
    shared, count = np.unique(
        np.stack([before[both], labels[both]], axis=1), axis=0, return_counts=True
    )
    taken: set[int] = set()
    for earlier, label in shared[np.argsort(-count, kind="stable")].tolist():
        if result[label] < 0 and earlier not in taken:
            result[label] = earlier
            taken.add(earlier)
    new = result < 0
    result[new] = following + np.arange(new.sum())
    return result
