"""Which clusters a person should look at first, and the cluster next to an image."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.tracks import TrackGroups
from mprd.system.csr import entry_rows

_ROWS = 2**16  # images compared at once


class Nearest(NamedTuple):
    """The nearest cluster of each image, its own excepted.

    Attributes:
        cluster: int64 (N,), -1: no stored pair leads to another cluster.
        relation: float64 (N,), mean relation to its images, 0 where there is none.
    """

    cluster: np.ndarray
    relation: np.ndarray


def doubt(membership: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return 1 - mean membership of the images of each cluster, float64 (K,).

    Args:
        membership: float32 (N,), in [0, 1], of each image in its cluster.
        labels: int (N,), -1 outlier.
    """
    inside = labels >= 0
    sizes = np.bincount(labels[inside])
    return 1 - np.bincount(labels[inside], membership[inside]) / np.maximum(sizes, 1)


def nearest_clusters(relation: csr_array, labels: np.ndarray, tracks: TrackGroups) -> Nearest:
    """Return the cluster, other than its own, to whose images each image is nearest on average.

    Args:
        relation: (N, N), 0 where no pair is stored; the first image of a track has its pairs.
        labels: int (N,), -1 outlier; the images of a track share one.
        tracks: of the images.
    """
    own = labels[tracks.first]
    inside = np.flatnonzero(own >= 0)
    shape = (len(own), int(labels.max(initial=-1)) + 1)
    images = csr_array((tracks.sizes[inside].astype(float), (inside, own[inside])), shape=shape)
    sizes = np.asarray(images.sum(axis=0))
    pairs = tracks.between(relation)
    found = np.full(len(own), -1)
    near = np.zeros(len(own))
    for start in range(0, len(own), _ROWS):
        total = (pairs[start : start + _ROWS] @ images).tocsr()
        row, cluster = start + entry_rows(total.indptr), total.indices
        mean = total.data / sizes[cluster]
        other = np.flatnonzero((cluster != own[row]) & (mean > 0))
        order = other[np.lexsort((cluster[other], -mean[other], row[other]))]
        first = order[np.diff(row[order], prepend=-1) > 0]
        found[row[first]], near[row[first]] = cluster[first], mean[first]
    return Nearest(found[tracks.group], near[tracks.group])
