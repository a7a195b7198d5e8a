"""Strata of the pairs that an audit draws: inside clusters and between them, from near to far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mprd.clustering.sides import Sides
from mprd.graph.neighbors import knn

ALL_PAIRS = 1500  # up to so many images every pair is ranked
NEIGHBORS = 100  # of each image, beyond
MOST_LISTED = 5_000_000  # pairs inside clusters; beyond, they form one stratum
_FIRST = 0.25  # pairs per image in the nearest stratum of different clusters
_LAST = 0.6  # share of these pairs from which on the rest is one stratum


@dataclass(frozen=True)
class Stratum:
    """Pairs, and how some of them are drawn without replacement."""

    size: int
    draw: Callable[[np.random.Generator, int], np.ndarray]


class InsidePairs:
    """The pairs inside clusters, by number.

    Attributes:
        count: of them.
    """

    def __init__(self, cluster: np.ndarray, block: np.ndarray | None = None) -> None:
        """Order the images by cluster.

        Args:
            cluster: int (N,).
            block: int (N,), parts of clusters; pairs inside a part are left out. None: none are.
        """
        images = np.arange(len(cluster))
        part = images if block is None else block
        self._order = np.lexsort((part, cluster))
        self._begin = _begins(cluster[self._order])
        # In this order the image at position p is the second one of as many pairs as images of its
        # cluster stand before its part.
        self._before = np.cumsum(_begins(part[self._order]) - self._begin)
        self.count = int(self._before[-1])

    def pairs(self, numbers: np.ndarray) -> np.ndarray:
        """Return the pairs with some numbers, 0 to `count` - 1, int64 (n, 2)."""
        second = np.searchsorted(self._before, numbers, side="right")
        earlier = np.where(second > 0, self._before[np.maximum(second, 1) - 1], 0)
        first = self._order[self._begin[second] + numbers - earlier]
        return np.stack([first, self._order[second]], axis=1)


def _begins(keys: np.ndarray) -> np.ndarray:
    """Return the position at which the run of equal keys begins, for each position."""
    new = np.append(True, keys[1:] != keys[:-1])
    return np.maximum.accumulate(np.where(new, np.arange(len(keys)), 0))


def inside_strata(
    cluster: np.ndarray,
    sides: Sides,
    features: np.ndarray,
    most: int,
    block: np.ndarray | None = None,
) -> list[Stratum]:
    """Return strata of equal size of the pairs inside clusters.

    Args:
        cluster: int (N,), from 0; each outlier a cluster of its own.
        sides: of the rows; pairs of two sides are left out.
        features: float32 (N, D), unit rows.
        most: strata, fewer where there are fewer pairs.
        block: int (N,), from 0, parts of clusters; pairs inside a part are left out.
    """
    size = sides.pairs_inside(cluster) - (0 if block is None else sides.pairs_inside(block))
    every = InsidePairs(cluster, block)
    if size > MOST_LISTED:
        return [Stratum(size, lambda rng, n: _some(every, sides, rng, n))]
    pairs = _ranked(every.pairs(np.arange(every.count)), features)
    pairs = pairs[~sides.apart(pairs[:, 0], pairs[:, 1])]
    cuts = np.linspace(0, size, most + 1).round().astype(int)
    return [_listed(pairs[a:b]) for a, b in pairwise(cuts) if b > a]


def between_strata(
    clusterings: Sequence[np.ndarray],
    sides: Sides,
    features: np.ndarray,
    within: int,
    device: str,
    growth: int = 2,
) -> list[Stratum]:
    """Return strata of growing size of the pairs that no clustering joins.

    Args:
        clusterings: int (N,) each, from 0; each outlier a cluster of its own.
        sides: of the rows; pairs of two sides are left out.
        features: float32 (N, D), unit rows.
        within: pairs that a clustering joins.
        device: of the search for similar images.
        growth: a stratum has so many times the pairs of the one before.
    """
    count = len(features)
    every = sides.pairs_inside(np.zeros(count, np.int64))
    if count <= ALL_PAIRS:
        near = np.stack(np.triu_indices(count, 1), axis=1)
    else:
        _, index = knn(features, NEIGHBORS + 1, device=device)
        ends = np.stack([np.repeat(index[:, 0], NEIGHBORS), index[:, 1:].ravel()], axis=1)
        near = np.unique(np.sort(ends.astype(np.int64), axis=1), axis=0)
    for cluster in clusterings:
        near = near[cluster[near[:, 0]] != cluster[near[:, 1]]]
    near = _ranked(near[~sides.apart(near[:, 0], near[:, 1])], features)
    left = every - within - len(near)
    between, begin, size = [], 0, max(1, round(_FIRST * count))
    while begin < len(near):
        end = begin + size
        whole = end >= len(near) or (not left and end >= _LAST * len(near))
        end = len(near) if whole else end
        between.append(_listed(near[begin:end]))
        begin, size = end, growth * size
    if left:
        keys = np.sort(near[:, 0] * count + near[:, 1])
        between.append(Stratum(left, lambda rng, n: _far(clusterings, sides, keys, rng, n)))
    return between


def ranked_inside(cluster: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return all pairs inside clusters, the most similar ones first.

    Args:
        cluster: int (N,), each outlier a cluster of its own.
        features: float (N, D), unit rows.

    Returns:
        int64 (P, 2), rows.
    """
    every = InsidePairs(cluster)
    return _ranked(every.pairs(np.arange(every.count)), features)


def _listed(pairs: np.ndarray) -> Stratum:
    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        return pairs[rng.choice(len(pairs), count, replace=False)]

    return Stratum(len(pairs), draw)


def _ranked(pairs: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return pairs, the most similar ones first."""
    similarity = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 2**16):
        rows = pairs[start : start + 2**16]
        similarity[start : start + 2**16] = (features[rows[:, 0]] * features[rows[:, 1]]).sum(1)
    return pairs[np.argsort(-similarity, kind="stable")]


def _some(every: InsidePairs, sides: Sides, rng: np.random.Generator, count: int) -> np.ndarray:
    """Return random different pairs inside clusters that do not show two sides."""
    wanted = count
    while True:
        pairs = every.pairs(rng.choice(every.count, wanted, replace=False))
        pairs = pairs[~sides.apart(pairs[:, 0], pairs[:, 1])]
        if len(pairs) >= count or wanted == every.count:
            return pairs[:count]
        wanted = min(2 * wanted, every.count)


def _far(
    clusterings: Sequence[np.ndarray],
    sides: Sides,
    near: np.ndarray,
    rng: np.random.Generator,
    count: int,
) -> np.ndarray:
    """Return pairs that no clustering joins and that are not near, each equally likely.

    Args:
        clusterings: int (N,) each.
        sides: of the rows; pairs of two sides are left out.
        near: int64, row x N + row of the near pairs that no clustering joins, ascending.
        rng: source of the draw.
        count: different pairs to draw.
    """
    cluster, *others = clusterings
    images, order = len(cluster), np.argsort(cluster, kind="stable")
    sizes = np.bincount(cluster)
    begin = np.cumsum(sizes) - sizes
    partners = (images - sizes)[cluster].astype(float)
    found = np.empty(0, np.int64)
    while len(found) < count:
        first = rng.choice(images, 4096, p=partners / partners.sum())
        own = cluster[first]
        other = rng.integers(0, images - sizes[own])
        other = order[other + np.where(other >= begin[own], sizes[own], 0)]
        kept = ~sides.apart(first, other)
        for one in others:
            kept &= one[first] != one[other]
        first, other = first[kept], other[kept]
        key = np.minimum(first, other) * images + np.maximum(first, other)
        found = np.concatenate([found, key[~np.isin(key, near)]])
        _, at = np.unique(found, return_index=True)
        found = found[np.sort(at)]
    return np.stack(np.divmod(found[:count], images), axis=1)
