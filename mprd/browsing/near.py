"""The clusters that an outlier, or a cluster, may belong to."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.tracks import TrackGroups
from mprd.system.csr import entry_rows


class Near(NamedTuple):
    """The nearest clusters, each with the mean relation to its images, the nearest first.

    Attributes:
        of_clusters: for each cluster.
        of_images: for each image that was asked for, by its row.
    """

    of_clusters: list[list[tuple[int, float]]]
    of_images: dict[int, list[tuple[int, float]]]


def near_clusters(
    relation: csr_array,
    labels: np.ndarray,
    tracks: TrackGroups,
    count: int,
    apart: np.ndarray,
    asked: np.ndarray,
) -> Near:
    """Return the nearest clusters, as far as a stored pair leads to one.

    Args:
        relation: (G, G), of tracks, 0 where no pair is stored.
        labels: int (N,), -1 outlier; a track is where its first image is.
        tracks: of the images.
        count: most clusters for each.
        apart: int (n, 2), rows that are said to be different; clusters with them are left out.
        asked: int (m,), rows; an image does not count in the mean of its own cluster.
    """
    own = labels[tracks.first]
    inside = np.flatnonzero(own >= 0)
    shape = len(own), int(labels.max(initial=-1)) + 1
    images = csr_array((tracks.sizes[inside].astype(float), (inside, own[inside])), shape=shape)
    sizes = np.asarray(images.sum(axis=0)).ravel()
    total = (relation @ images).tocsr()
    between = (images.T @ total).tocsr()
    between = csr_array(
        (between.data / np.repeat(sizes, np.diff(between.indptr)), between.indices, between.indptr),
        shape=between.shape,
    )
    place = {row: n for n, row in enumerate(asked.tolist())}
    both = np.concatenate([apart, apart[:, ::-1]])
    foes = both[labels[both[:, 1]] >= 0].tolist()
    of_clusters = {(int(labels[a]), int(labels[b])) for a, b in foes if labels[a] >= 0}
    of_images = {(place[a], int(labels[b])) for a, b in foes if a in place}
    itself = {(k, k) for k in range(shape[1])}
    itself_too = relation.diagonal()[tracks.group[asked]] * tracks.sizes[tracks.group[asked]]
    rows = _of_others(total[tracks.group[asked]].tocsr(), sizes, labels[asked], itself_too)
    found = _most(rows, sizes, count, of_images)
    return Near(
        _most(between, sizes, count, of_clusters | itself),
        dict(zip(asked.tolist(), found, strict=True)),
    )


def _of_others(
    total: csr_array, sizes: np.ndarray, own: np.ndarray, itself: np.ndarray
) -> csr_array:
    """Return the sums over clusters so that over all images of a cluster they are means of others.

    Args:
        total: (m, K), sums of the relations of images.
        sizes: float (K,), images of each cluster.
        own: int (m,), the cluster of each image, -1 outlier.
        itself: float (m,), what the image (its track) adds to the sum of its own cluster.
    """
    row = entry_rows(total.indptr)
    here = total.indices == own[row]
    whole = sizes[total.indices[here]]
    total.data[here] = np.maximum(total.data[here] - itself[row[here]], 0)
    total.data[here] *= whole / np.maximum(whole - 1, 1)
    return total


def _most(
    total: csr_array, sizes: np.ndarray, count: int, foes: set[tuple[int, int]]
) -> list[list[tuple[int, float]]]:
    """Return the columns of each row with the largest means, but for some."""
    row, column = entry_rows(total.indptr).astype(np.int64), total.indices
    mean = total.data / np.maximum(sizes[column], 1)
    left_out = np.array([one * len(sizes) + other for one, other in foes], np.int64)
    use = np.flatnonzero((mean > 0) & ~np.isin(row * len(sizes) + column, left_out))
    order = use[np.lexsort((column[use], -mean[use], row[use]))]
    starts = np.searchsorted(row[order], np.arange(total.shape[0]))
    order = order[np.arange(len(order)) - starts[row[order]] < count]
    found: list[list[tuple[int, float]]] = [[] for _ in range(total.shape[0])]
    for one, other, value in zip(
        row[order].tolist(), column[order].tolist(), mean[order].tolist(), strict=True
    ):
        found[one].append((other, value))
    return found
