"""How many individuals do the images show? From a random sample of clusters that a person checked.

Pair precision and recall do not tell: a cluster cut in two is a few wrong pairs among thousands,
and pairs say how many links there are, not how many individuals hold them together. Clusters do
tell. Each individual is counted once, shared among the places where it is:

    M = sum over clusters, of each individual in it 1 / (clusters that show it)
      + sum over outliers of individuals in no cluster 1 / (outliers that show it)

A cluster of one individual that no other cluster shows counts 1, each half of one cut in two 1/2, a
cluster of two individuals 2, an outlier that belongs to a cluster 0. So the sum over a random
sample of clusters and outliers, each times the units it stands for, is an unbiased estimate
(Horvitz and Thompson, JASA 1952; for entities and their records Binette et al., The American
Statistician 2023), and most values are 1: few checks tell much.

The interval is that of a posterior: the values of a stratum have a Dirichlet distribution on those
that were seen (Rubin: The Bayesian bootstrap, Ann. Stat. 1981) and on two that may be unseen, half
an observation each, so that an interval has a width where all values are alike.
"""

from dataclasses import dataclass

import numpy as np

from mprd.clustering.audit_estimate import Estimate
from mprd.clustering.tracks import TrackGroups
from mprd.system.checks import check_integers

CHECKS = 40
_LEAST = 5  # checks in a stratum that make an estimate
_DRAWS = 4_000
_LEVEL = 0.95
_ROUNDING = 1e-6
_WEIGHT = 0.5  # of each value that may be unseen
_UNSEEN = {True: (0.5, 2.0), False: (0.0, 1.0)}  # of clusters, of outliers
_SPREAD = {True: 0.3, False: 0.4}  # expected deviation, by which checks are shared out


@dataclass(frozen=True)
class CountSample:
    """Clusters and outliers to check, in the order in which they are checked.

    Attributes:
        units: int64 (n,), numbers from 0: those of the clusters, then of the outliers.
        stratum: int64 (n,), of each.
        sizes: int64 (S,), units in each stratum, drawn or not.
        clusters: bool (S,), whether a stratum holds clusters; else outliers.
    """

    units: np.ndarray
    stratum: np.ndarray
    sizes: np.ndarray
    clusters: np.ndarray


def units_of(labels: np.ndarray, tracks: np.ndarray | None = None) -> np.ndarray:
    """Return the unit of each image: clusters by their labels from 0, then the outliers.

    Args:
        labels: int (N,), -1 outlier.
        tracks: int (N,), -1 none; outliers of one track are one unit. None: there are none.

    Returns:
        int64 (N,).

    Raises:
        ValueError: no such labels or tracks.
    """
    labels = check_integers(labels, len(labels), "labels")
    outlier = labels < 0
    units, clusters = np.empty(len(labels), np.int64), np.unique(labels[~outlier])
    units[~outlier] = np.searchsorted(clusters, labels[~outlier])
    own = np.full(int(outlier.sum()), -1)
    if tracks is not None:
        own = check_integers(tracks, len(labels), "tracks")[outlier]
    units[outlier] = len(clusters) + TrackGroups.of_tracks(own).group
    return units


def stratum_of(labels: np.ndarray, tracks: np.ndarray | None = None) -> np.ndarray:
    """Return the stratum of each unit: smaller clusters, larger clusters, outliers; no gaps.

    Args:
        labels: int (N,), -1 outlier.
        tracks: int (N,), as for `units_of`.

    Returns:
        int64 (U,).
    """
    units = units_of(labels, tracks)
    sizes = np.bincount(units[labels >= 0])
    found = np.full(int(units.max(initial=-1)) + 1, 2)
    found[np.argsort(sizes, kind="stable")] = np.arange(len(sizes)) * 2 // max(len(sizes), 1)
    return np.unique(found, return_inverse=True)[1]


def count_sample(
    labels: np.ndarray, count: int = CHECKS, seed: int = 0, tracks: np.ndarray | None = None
) -> CountSample:
    """Draw the clusters and outliers that a person checks to count individuals.

    Strata are the smaller and the larger half of the clusters, and the outliers. Each has at least
    five checks, or all of its units.

    Args:
        labels: int (N,), -1 outlier.
        count: checks, at least 15; fewer are drawn where there are fewer units.
        seed: of the draw.
        tracks: int (N,), as for `units_of`.

    Raises:
        ValueError: no such labels or tracks, too small a count, or no images.
    """
    labels = check_integers(labels, len(labels), "labels")
    if count < 3 * _LEAST or not len(labels):
        raise ValueError(f"a count needs images, and at least {3 * _LEAST} checks, not {count}.")
    of_unit, clusters = stratum_of(labels, tracks), len(np.unique(labels[labels >= 0]))
    strata = [np.flatnonzero(of_unit == stratum) for stratum in range(int(of_unit.max()) + 1)]
    kinds = np.array([one[0] < clusters for one in strata])
    rooms = np.array([len(one) for one in strata])
    wanted = rooms * np.where(kinds, _SPREAD[True], _SPREAD[False])
    shares = np.minimum(rooms, np.maximum(_LEAST, np.round(count * wanted / wanted.sum())))
    rng = np.random.default_rng(seed)
    drawn = [
        rng.choice(one, int(share), replace=False)
        for one, share in zip(strata, shares, strict=True)
    ]
    mixed = rng.permutation(int(shares.sum()))
    return CountSample(
        units=np.concatenate(drawn)[mixed],
        stratum=np.repeat(np.arange(len(strata)), shares.astype(int))[mixed],
        sizes=rooms.astype(np.int64),
        clusters=kinds,
    )


def unit_value(unit: int, units: np.ndarray, identity: np.ndarray, clusters: int) -> float:
    """Return how many individuals a unit counts for.

    Args:
        unit: its number.
        units: int (N,), of `units_of`.
        identity: int (N,), of each image, as far as the individuals in this unit reach; images of
            other individuals may have any other numbers.
        clusters: number of clusters; units from there on are outliers.
    """
    value = 0.0
    for one in np.unique(identity[units == unit]):
        places = np.unique(units[identity == one])
        inside = places[places < clusters]
        if unit < clusters:
            value += 1 / len(inside)
        elif not len(inside):
            value += 1 / len(places)
    return value


def count_estimate(sample: CountSample, values: np.ndarray) -> Estimate:
    """Return the number of individuals with its 95 % interval, whose ends are whole numbers.

    Args:
        sample: the units that were drawn.
        values: float (n,), of each the value of `unit_value`; NaN: not checked. Leave no unit out
            because it is hard: that would bend the estimate.

    Raises:
        ValueError: not one value each, negative ones, or a stratum with fewer than five checks.
    """
    values = np.asarray(values, float)
    if values.shape != sample.units.shape or (values < 0).any() or np.isinf(values).any():
        raise ValueError(f"give a value of 0 or more to each of the {len(sample.units)} units.")
    rng = np.random.default_rng(0)
    total, draws = 0.0, np.zeros(_DRAWS)
    for stratum, (size, kind) in enumerate(zip(sample.sizes, sample.clusters, strict=True)):
        seen = values[(sample.stratum == stratum) & ~np.isnan(values)]
        if len(seen) < min(_LEAST, size):
            raise ValueError(f"a stratum of {size} units has {len(seen)} checks: too few.")
        total += size * seen.mean()
        draws += seen.sum()
        if len(seen) == size:
            continue
        places = np.append(seen, _UNSEEN[bool(kind)])
        # Few values vary less than all do: as for the t distribution, each counts for less than 1.
        each = (len(seen) - 3) / (len(seen) + 1)
        prior = np.append(np.full(len(seen), each), np.full(2, _WEIGHT))
        weight = rng.dirichlet(prior, _DRAWS)
        mean = weight @ places
        left, spread = size - len(seen), np.sqrt(np.maximum(weight @ places**2 - mean**2, 0))
        draws += left * mean + np.sqrt(left) * spread * rng.normal(size=_DRAWS)
    low, high = np.quantile(draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    ends = np.floor(min(low, total) + _ROUNDING), np.ceil(max(high, total) - _ROUNDING)
    return Estimate(float(total), float(max(ends[0], 1)), float(ends[1]))
