"""Pairs that measure two clusterings of the same images, and how far they differ.

Two audits compare two clusterings badly: their intervals are wide and independent. But what one
pair shows counts for both clusterings. There are four kinds of pairs: both clusterings join them,
only the first, only the second, or neither. The second and third kind decide which clustering is
better, however few they are; each kind gets a quarter of the questions. See `audit` for strata by
similarity and for tracks.
"""

from dataclasses import dataclass

import numpy as np

from mprd.clustering.audit import QUESTIONS, AuditPairs, equal_shares
from mprd.clustering.audit_strata import between_strata, inside_strata
from mprd.clustering.audit_units import AuditUnits

_FEWEST = 40
_HALVES = 2  # strata of the pairs that both join
_GROWTH = 4  # of the strata that neither joins: a quarter of the questions must reach them all


@dataclass(frozen=True)
class ComparisonPairs(AuditPairs):
    """The pairs that measure two clusterings, in the order in which they are asked.

    The pairs of the first `inside` strata share a cluster of one clustering or both, the others of
    neither.

    Attributes:
        joined: bool (2, S), which clustering joins the pairs of each stratum.
    """

    joined: np.ndarray


def comparison_pairs(
    first: np.ndarray,
    second: np.ndarray,
    features: np.ndarray,
    count: int = QUESTIONS,
    seed: int = 0,
    device: str = "auto",
    tracks: np.ndarray | None = None,
    sides: np.ndarray | None = None,
) -> ComparisonPairs:
    """Draw the pairs that a person judges to compare two clusterings.

    Args:
        first: int (N,), labels, -1 outlier.
        second: int (N,), labels of the same images by another clustering.
        features: float (N, D), by which images are similar; rows are normalised. Of two networks:
            their unit rows side by side.
        count: pairs to draw, at least 40; fewer are drawn where there are fewer.
        seed: of the draw.
        device: of the search for similar images: auto, cpu, cuda or cuda:N.
        tracks: as for `audit_pairs`.
        sides: likewise.

    Raises:
        ValueError: no such labels, features, tracks or sides, a track with two labels, too small a
            count, a clustering in which no two images of different tracks share a cluster, or both
            join the same pairs.
    """
    units = AuditUnits.of_images([first, second], features, count, tracks, sides, _FEWEST)
    one, other = units.clusters
    common = np.unique(np.stack([one, other]), axis=1, return_inverse=True)[1].ravel()
    known = units.sides, units.features
    both = inside_strata(common, *known, _HALVES)
    ours, theirs = (inside_strata(cluster, *known, 1, common) for cluster in (one, other))
    if not (both or (ours and theirs)):
        raise ValueError(f"in one of the clusterings no two {units.name} share a cluster.")
    if not ours and not theirs:
        raise ValueError("both join the same pairs: there is nothing to compare.")
    within = sum(stratum.size for stratum in (*both, *ours, *theirs))
    neither = between_strata(units.clusters, *known, within, device, _GROWTH)
    kinds = [both, ours, theirs, neither]
    rooms = [[stratum.size for stratum in kind] for kind in kinds]
    asked = equal_shares(count, [sum(room) for room in rooms])
    shares = [n for most, room in zip(asked, rooms, strict=True) for n in equal_shares(most, room)]
    pairs, stratum = units.draw([stratum for kind in kinds for stratum in kind], shares, seed)
    return ComparisonPairs(
        pairs=pairs,
        stratum=stratum,
        sizes=np.array([size for room in rooms for size in room], np.int64),
        inside=len(both) + len(ours) + len(theirs),
        joined=joined_strata([len(kind) for kind in kinds]),
    )


def joined_strata(counts: list[int]) -> np.ndarray:
    """Return which clustering joins the pairs of each stratum, bool (2, S).

    Args:
        counts: strata of each kind: both clusterings join their pairs, the first, the second,
            neither.
    """
    return np.repeat(np.array([[1, 1, 0, 0], [1, 0, 1, 0]], bool), counts, axis=1)
