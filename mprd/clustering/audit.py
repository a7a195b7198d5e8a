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

from dataclasses import dataclass

import numpy as np

from mprd.clustering.audit_strata import Stratum, between_strata, inside_strata
from mprd.clustering.audit_units import AuditUnits

QUESTIONS = 50
_FEWEST = 20
_INSIDE = 0.5  # share of the questions
_HALVES = 2  # strata inside clusters


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
    units = AuditUnits.of_images([labels], features, count, tracks, sides, _FEWEST)
    (cluster,) = units.clusters
    within = units.sides.pairs_inside(cluster)
    if not within:
        raise ValueError(f"no two {units.name} share a cluster: there is no precision to measure.")
    inside = inside_strata(cluster, units.sides, units.features, _HALVES)
    between = between_strata(units.clusters, units.sides, units.features, within, device)
    strata = [*inside, *between]
    pairs, stratum = units.draw(strata, _split(count, inside, between), seed)
    sizes = np.array([one.size for one in strata], np.int64)
    return AuditPairs(pairs=pairs, stratum=stratum, sizes=sizes, inside=len(inside))


def _split(count: int, inside: list[Stratum], between: list[Stratum]) -> list[int]:
    """Return how many pairs each stratum gets: half of them inside, equal shares of each half.

    What one half cannot use goes to the other.
    """
    rooms = [[one.size for one in half] for half in (inside, between)]
    within = min(sum(rooms[0]), max(round(_INSIDE * count), count - sum(rooms[1])))
    return [*equal_shares(within, rooms[0]), *equal_shares(count - within, rooms[1])]


def equal_shares(count: int, rooms: list[int]) -> list[int]:
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
