"""SpCL's reliability criterion: which members a cluster may keep (Ge et al., NeurIPS 2020, 3.3).

A cluster is independent if it hardly grows at a looser radius, and compact if it hardly shrinks at
a tighter one. Members of clusters that fail are outliers, which the hybrid memory trains on, too.
"""

import numpy as np

from mprd.clustering.numbering import number_clusters, with_single_clusters

_RANK = 0.9  # share of the first epoch's clusters that counts as independent


def self_paced(
    labels: np.ndarray, tight: np.ndarray, loose: np.ndarray, threshold: float | None
) -> tuple[np.ndarray, float]:
    """Drop the members of dependent clusters, and members that are not in a compact core.

    Args:
        labels: int (N,), at eps, -1 outlier.
        tight: int (N,), at a smaller eps.
        loose: int (N,), at a larger eps.
        threshold: largest dependence that a cluster may have, of the first epoch; None: this is the
            first epoch, and nine tenths of its clusters pass.

    Returns:
        Labels int32 (N,), numbered by the first member, and the threshold.
    """
    alone = labels < 0
    if alone.all():
        return labels.astype(np.int32), 0.0 if threshold is None else threshold
    dependence = 1 - _overlap(labels, loose)
    looseness = 1 - _overlap(labels, tight)
    inside = np.flatnonzero(~alone)
    count = int(labels.max()) + 1
    least_dependence, least_looseness = np.full(count, np.inf), np.full(count, np.inf)
    np.minimum.at(least_dependence, labels[inside], dependence[inside])
    np.minimum.at(least_looseness, labels[inside], looseness[inside])
    if threshold is None:
        threshold = float(np.sort(least_dependence)[min(count - 1, round(count * _RANK))])
    kept = inside[
        (least_dependence[labels[inside]] <= threshold)
        & (looseness[inside] <= least_looseness[labels[inside]])
    ]
    result = np.full(len(labels), -1, np.int32)
    result[kept] = labels[kept]
    return number_clusters(with_single_clusters(result), min_size=2), threshold


def _overlap(labels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return for each image the share of shared mates in two clusterings: |A & B| / |A | B|.

    Both sets hold the image itself; an outlier is alone.
    """
    _, first = np.unique(with_single_clusters(labels), return_inverse=True)
    _, second = np.unique(with_single_clusters(other), return_inverse=True)
    cell = first * (second.max() + 1) + second
    _, place, shared = np.unique(cell, return_inverse=True, return_counts=True)
    both = shared[place]
    return both / (np.bincount(first)[first] + np.bincount(second)[second] - both)
