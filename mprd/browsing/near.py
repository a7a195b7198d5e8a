"""The clusters that an outlier, or a cluster, may belong to.

How alike two groups of images are is half the sum of two means: of the relation of their images,
which says nothing where they share no neighbours, and of the cosine of their embeddings, which also
finds the few images of an individual that are cut off from the others.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from mprd.browsing.looks import Looks
from mprd.clustering.tracks import TrackGroups

_BLOCK = 2**22  # pairs of clusters that are compared at once
_MOST = 2**34  # products; runs with so many clusters are compared by the relation only


class Near(NamedTuple):
    """The nearest clusters, each with how alike it is, the nearest first.

    Attributes:
        of_clusters: for each cluster.
        of_images: for each image that was asked for, by its row; its own cluster is among them.
    """

    of_clusters: list[list[tuple[int, float]]]
    of_images: dict[int, list[tuple[int, float]]]


class _Compared(NamedTuple):
    """Groups of images, as they are compared with clusters.

    Attributes:
        relation: (n, K), summed over the images of both.
        looks: float32 (n, W), summed over images.
        sizes: float (n,), images of each.
        own: int (n,), the cluster that a group is of, -1 none.
        itself: float (n,), what it adds to the sum over its own cluster.
    """

    relation: csr_array
    looks: np.ndarray
    sizes: np.ndarray
    own: np.ndarray
    itself: np.ndarray


def near_clusters(
    relation: csr_array,
    looks: Looks | None,
    labels: np.ndarray,
    tracks: TrackGroups,
    apart: np.ndarray,
    asked: np.ndarray,
    *,
    of_cluster: int,
    of_image: int,
) -> Near:
    """Return the nearest clusters.

    Args:
        relation: (G, G), of tracks, 0 where no pair is stored.
        looks: of the images; None: unknown, the relation decides.
        labels: int (N,), -1 outlier; a track is where its first image is.
        tracks: of the images.
        apart: int (n, 2), rows that are said to be different; clusters with them are left out.
        asked: int (m,), rows; an image does not count in the mean of its own cluster.
        of_cluster: most clusters for each cluster.
        of_image: most clusters for each image.
    """
    own = labels[tracks.first]
    inside = np.flatnonzero(own >= 0)
    count = int(labels.max(initial=-1)) + 1
    weights = tracks.sizes[inside].astype(float), (inside, own[inside])
    images = csr_array(weights, shape=(len(own), count))
    sizes = np.asarray(images.sum(axis=0)).ravel()
    if looks is None or (count + len(asked)) * count * len(looks.sign) > _MOST:
        looks = Looks(np.zeros((len(labels), 0), np.float32), np.zeros(0, np.float32))
    total = (relation @ images).tocsr()
    summed = _sums(labels, count, looks.vectors)
    group = tracks.group[asked]
    # Each image looks exactly like itself.
    itself = relation.diagonal()[group] * tracks.sizes[group] + float(len(looks.sign) > 0)
    every = np.arange(count)
    clusters = _Compared((images.T @ total).tocsr(), summed, sizes, np.full(count, -1), every * 0.0)
    given = looks.vectors[asked]
    some = _Compared(total[group].tocsr(), given, np.ones(len(asked)), labels[asked], itself)
    place = {row: n for n, row in enumerate(asked.tolist())}
    both = np.concatenate([apart, apart[:, ::-1]])
    foes = both[labels[both[:, 1]] >= 0].tolist()
    never = [(int(labels[a]), int(labels[b])) for a, b in foes if labels[a] >= 0]
    never += zip(every.tolist(), every.tolist(), strict=True)
    never_images = [(place[a], int(labels[b])) for a, b in foes if a in place]
    right = summed * looks.sign
    found = _most(some, right, sizes, never_images, of_image)
    return Near(
        _most(clusters, right, sizes, never, of_cluster),
        dict(zip(asked.tolist(), found, strict=True)),
    )


def _sums(labels: np.ndarray, count: int, vectors: np.ndarray) -> np.ndarray:
    """Return the sum of the vectors of each cluster, float32 (K, W)."""
    inside = np.flatnonzero(labels >= 0)
    ones = np.ones(len(inside), np.float32), (labels[inside], inside)
    return np.asarray(csr_array(ones, shape=(count, len(labels))) @ vectors)


def _most(
    groups: _Compared,
    right: np.ndarray,
    sizes: np.ndarray,
    never: list[tuple[int, int]],
    count: int,
) -> list[list[tuple[int, float]]]:
    """Return the most alike clusters of each group, but for some.

    Args:
        groups: n groups.
        right: float32 (K, W), what the looks of a group are multiplied with.
        sizes: float (K,), images of each cluster.
        never: pairs of a group and a cluster to leave out.
        count: most clusters for each.
    """
    total = len(groups.own)
    if not len(sizes):
        return [[] for _ in range(total)]
    left_out = np.array(never, np.int64).reshape(-1, 2)
    found: list[list[tuple[int, float]]] = []
    step = max(1, _BLOCK // len(sizes))
    for start in range(0, total, step):
        rows = slice(start, start + step)
        value = groups.relation[rows].toarray() + groups.looks[rows] @ right.T
        pairs = groups.sizes[rows, None] * sizes
        own = groups.own[rows]
        at = np.flatnonzero(own >= 0), own[own >= 0]
        value[at] -= groups.itself[rows][at[0]]
        pairs[at] -= 1
        alike = value / np.maximum(pairs, 1) / 2
        here = left_out[(left_out[:, 0] >= start) & (left_out[:, 0] < start + step)]
        alike[here[:, 0] - start, here[:, 1]] = -1
        found += _ranked(alike, own, count)
    return found


def _ranked(alike: np.ndarray, own: np.ndarray, count: int) -> list[list[tuple[int, float]]]:
    """Return the best columns of each row, the best first; its own one is among them."""
    best = np.argsort(-alike, axis=1, kind="stable")[:, :count]
    missing = (own >= 0) & ~(best == own[:, None]).any(axis=1)
    best[missing, -1] = own[missing]
    value = np.take_along_axis(alike, best, axis=1)
    return [
        [(k, v) for k, v in zip(*one, strict=True) if v > 0 or k == mine]
        for *one, mine in zip(best.tolist(), value.tolist(), own.tolist(), strict=True)
    ]
