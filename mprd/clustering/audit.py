"""Pairs that measure a clustering: drawn at random, with known probabilities.

Few answers tell much if the sample is stratified (Cochran: Sampling Techniques, 1977, chapter 5).
Pairs inside clusters form two strata by similarity. Pairs of different clusters are ranked by
similarity: the strata grow by doubling, so that the few near pairs, which hold most of what a
clustering missed, are asked about as often as the many far ones. For stratified sampling by score
in the evaluation of matching see Marchant and Rubinstein: In search of an entity resolution OASIS,
VLDB 2017. Within a stratum each pair is equally likely, and no pair is drawn twice.

A track counts once: pairs of tracks are drawn, and shown by one image each. Images of one track
share a cluster whatever the clustering is worth; their pairs would only make it look better.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mprd.clustering.numbering import with_single_clusters
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.graph.neighbors import knn
from mprd.system.checks import check_features, check_integers

QUESTIONS = 50
_INSIDE = 0.5  # share of the questions
_HALVES = 2  # strata inside clusters
_ALL_PAIRS = 1500  # up to so many images every pair is ranked
_NEIGHBORS = 100  # of each image, beyond
_MOST_LISTED = 5_000_000  # pairs inside clusters; beyond, they form one stratum
_FIRST = 0.25  # pairs per image in the nearest stratum of different clusters
_LAST = 0.6  # share of these pairs from which on the rest is one stratum


@dataclass(frozen=True)
class AuditPairs:
    """The pairs of an audit, in the order in which they are asked.

    Attributes:
        pairs: int64 (n, 2), rows of images, the smaller one first; of a track a random image.
        stratum: int64 (n,), of each pair.
        sizes: int64 (S,), pairs in each stratum, drawn or not; a track counts as one image.
        inside: the first so many strata lie inside clusters, the others between them. Both go
            from near to far pairs.
    """

    pairs: np.ndarray
    stratum: np.ndarray
    sizes: np.ndarray
    inside: int

    @property
    def probability(self) -> np.ndarray:
        """Probability with which each pair was drawn, float64 (n,)."""
        drawn = np.bincount(self.stratum, minlength=len(self.sizes))
        return (drawn / np.maximum(self.sizes, 1))[self.stratum]


@dataclass(frozen=True)
class _Stratum:
    """Pairs, and how some of them are drawn without replacement."""

    size: int
    draw: Callable[[np.random.Generator, int], np.ndarray]


def audit_pairs(
    labels: np.ndarray,
    features: np.ndarray,
    count: int = QUESTIONS,
    seed: int = 0,
    device: str = "auto",
    tracks: np.ndarray | None = None,
    sides: np.ndarray | None = None,
) -> AuditPairs:
    """Draw the pairs that a person judges to measure a clustering.

    Args:
        labels: int (N,), -1 outlier.
        features: float (N, D), by which images are similar; rows are normalised.
        count: pairs to draw, at least 20; fewer are drawn where there are fewer.
        seed: of the draw.
        device: of the search for similar images: auto, cpu, cuda or cuda:N.
        tracks: int (N,), -1 none; images of one track have one label. None: there are no tracks.
        sides: int (N,), the side of an animal that each image shows, -1 unknown: pairs of two sides
            are neither drawn nor counted. None: all are unknown.

    Raises:
        ValueError: no such labels, features, tracks or sides, a track with two labels, too small a
            count, or no two images of different tracks share a cluster.
    """
    features = check_features(features)
    labels = check_integers(labels, len(features), "labels")
    if count < 20:
        raise ValueError(f"an audit needs at least 20 pairs, not {count}.")
    none = np.full(len(labels), -1)
    groups = TrackGroups.of_tracks(
        none if tracks is None else check_integers(tracks, len(labels), "tracks")
    )
    if (labels != labels[groups.first][groups.group]).any():
        raise ValueError("images of one track have two labels.")
    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    features = features.astype(np.float32)
    if groups.shared:
        features = groups.means(features)
    cluster = np.unique(with_single_clusters(labels[groups.first]), return_inverse=True)[1]
    shown = none if sides is None else check_integers(sides, len(labels), "sides")
    side = Sides.of_tracks(shown, groups)
    within = side.pairs_inside(cluster)
    if not within:
        units = "tracks" if groups.shared else "images"
        raise ValueError(f"no two {units} share a cluster: there is no precision to measure.")
    inside, between = _strata(cluster, side, features, within, device)
    shares = _split(count, inside, between)
    rng = np.random.default_rng(seed)
    strata = [*inside, *between]
    drawn = np.concatenate([one.draw(rng, n) for one, n in zip(strata, shares, strict=True)])
    order = rng.permutation(sum(shares))
    return AuditPairs(
        pairs=np.sort(_images(drawn[order], groups, Sides(shown), rng), axis=1),
        stratum=np.repeat(np.arange(len(strata)), shares)[order],
        sizes=np.array([one.size for one in strata], np.int64),
        inside=len(inside),
    )


def _images(
    pairs: np.ndarray, groups: TrackGroups, shown: Sides, rng: np.random.Generator
) -> np.ndarray:
    """Return a random image of each group of some pairs, int64 (n, 2), not of two sides."""
    order = np.argsort(groups.group, kind="stable")
    begin = np.cumsum(groups.sizes) - groups.sizes
    found = order[begin[pairs] + rng.integers(0, groups.sizes[pairs])]
    while (wrong := np.flatnonzero(shown.apart(found[:, 0], found[:, 1]))).size:
        again = pairs[wrong]
        found[wrong] = order[begin[again] + rng.integers(0, groups.sizes[again])]
    return found


def _split(count: int, inside: list[_Stratum], between: list[_Stratum]) -> list[int]:
    """Return how many pairs each stratum gets: half of them inside, equal shares of each half.

    What one half cannot use goes to the other.
    """
    rooms = [[one.size for one in half] for half in (inside, between)]
    within = min(sum(rooms[0]), max(round(_INSIDE * count), count - sum(rooms[1])))
    return [*_shares(within, rooms[0]), *_shares(count - within, rooms[1])]


def _shares(count: int, rooms: list[int]) -> list[int]:
    """Return equal shares that fit into the rooms; later ones get what does not divide."""
    shares = [0] * len(rooms)
    left = min(count, sum(rooms))
    while left:
        open_ = [n for n, room in enumerate(rooms) if shares[n] < room]
        for n in open_[-left:]:
            step = min(max(1, left // len(open_)), rooms[n] - shares[n], left)
            shares[n] += step
            left -= step
    return shares


def _strata(
    cluster: np.ndarray, sides: Sides, features: np.ndarray, within: int, device: str
) -> tuple[list[_Stratum], list[_Stratum]]:
    """Return the strata inside clusters, and those between them, from near to far."""
    count = len(cluster)
    every = sides.pairs_inside(np.zeros(count, np.int64))
    if count <= _ALL_PAIRS:
        near = np.stack(np.triu_indices(count, 1), axis=1)
    else:
        _, index = knn(features, _NEIGHBORS + 1, device=device)
        ends = np.stack([np.repeat(index[:, 0], _NEIGHBORS), index[:, 1:].ravel()], axis=1)
        near = np.unique(np.sort(ends.astype(np.int64), axis=1), axis=0)
    near = near[cluster[near[:, 0]] != cluster[near[:, 1]]]
    near = near[~sides.apart(near[:, 0], near[:, 1])]
    if within <= _MOST_LISTED:
        pairs = ranked_inside(cluster, features)
        pairs = pairs[~sides.apart(pairs[:, 0], pairs[:, 1])]
        cuts = np.linspace(0, within, _HALVES + 1).round().astype(int)
        inside = [_listed(pairs[a:b]) for a, b in pairwise(cuts) if b > a]
    else:
        inside = [_Stratum(within, lambda rng, n: _some_inside(cluster, sides, rng, n))]
    near = _ranked(near, features)
    left = every - within - len(near)
    between, begin, size = [], 0, max(1, round(_FIRST * count))
    while begin < len(near):
        end = begin + size
        whole = end >= len(near) or (not left and end >= _LAST * len(near))
        end = len(near) if whole else end
        between.append(_listed(near[begin:end]))
        begin, size = end, 2 * size
    if left:
        keys = np.sort(near[:, 0] * count + near[:, 1])
        between.append(_Stratum(left, lambda rng, n: _far(cluster, sides, keys, rng, n)))
    return inside, between


def ranked_inside(cluster: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return all pairs inside clusters, the most similar ones first.

    Args:
        cluster: int (N,), each outlier a cluster of its own.
        features: float (N, D), unit rows.

    Returns:
        int64 (P, 2), rows.
    """
    sizes = np.bincount(cluster)
    return _ranked(_inside(cluster, np.arange((sizes * (sizes - 1) // 2).sum())), features)


def _listed(pairs: np.ndarray) -> _Stratum:
    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        return pairs[rng.choice(len(pairs), count, replace=False)]

    return _Stratum(len(pairs), draw)


def _ranked(pairs: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return pairs, the most similar ones first."""
    similarity = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 2**16):
        rows = pairs[start : start + 2**16]
        similarity[start : start + 2**16] = (features[rows[:, 0]] * features[rows[:, 1]]).sum(1)
    return pairs[np.argsort(-similarity, kind="stable")]


def _inside(cluster: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Return the pairs inside clusters with these numbers, 0 to their number - 1."""
    order = np.argsort(cluster, kind="stable")
    sizes = np.bincount(cluster)
    # In this order the image at position p is the second one of as many pairs as images of its
    # cluster stand before it.
    begin = np.repeat(np.cumsum(sizes) - sizes, sizes)
    pairs_before = np.cumsum(np.arange(len(order)) - begin)
    second = np.searchsorted(pairs_before, ranks, side="right")
    earlier = np.where(second > 0, pairs_before[np.maximum(second, 1) - 1], 0)
    return np.stack([order[begin[second] + ranks - earlier], order[second]], axis=1)


def _some_inside(
    cluster: np.ndarray, sides: Sides, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Return random different pairs inside clusters that do not show two sides."""
    sizes = np.bincount(cluster)
    every, wanted = int((sizes * (sizes - 1) // 2).sum()), count
    while True:
        pairs = _inside(cluster, rng.choice(every, wanted, replace=False))
        pairs = pairs[~sides.apart(pairs[:, 0], pairs[:, 1])]
        if len(pairs) >= count or wanted == every:
            return pairs[:count]
        wanted = min(2 * wanted, every)


def _far(
    cluster: np.ndarray, sides: Sides, near: np.ndarray, rng: np.random.Generator, count: int
) -> np.ndarray:
    """Return pairs of different clusters that are not near, each equally likely.

    Args:
        cluster: int (N,).
        sides: of the rows; pairs of two sides are left out.
        near: int64, row x N + row of the near pairs of different clusters, ascending.
        rng: source of the draw.
        count: different pairs to draw.
    """
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
        first, other = first[kept], other[kept]
        key = np.minimum(first, other) * images + np.maximum(first, other)
        found = np.concatenate([found, key[~np.isin(key, near)]])
        _, at = np.unique(found, return_index=True)
        found = found[np.sort(at)]
    return np.stack(np.divmod(found[:count], images), axis=1)
