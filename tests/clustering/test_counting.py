"""How many individuals: the estimate is unbiased, and its interval holds the true number."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mprd

# People, mean images, share split, share merged with the next, outliers, strays.
WORLDS = {
    "good": (40, 8, 0.1, 0.03, 0.03, 0.01),
    "split": (60, 10, 0.6, 0.02, 0.05, 0.01),
    "merged": (60, 8, 0.1, 0.4, 0.05, 0.02),
    "messy": (50, 6, 0.4, 0.2, 0.2, 0.1),
    "many outliers": (80, 4, 0.2, 0.1, 0.4, 0.05),
    "few": (8, 20, 0.3, 0.1, 0.1, 0.05),
}


def world(rng, people, size, split, merge, outlier, stray):
    """Return who is who, and clusters with errors of all kinds."""
    who = np.repeat(np.arange(people), 1 + rng.poisson(size - 1, people))
    labels = who * 3
    for one in np.flatnonzero(rng.random(people) < split):
        rows = np.flatnonzero(who == one)
        labels[rows] = one * 3 + rng.integers(0, rng.integers(2, 4), len(rows))
    for one, following in pairwise(range(people)):
        if rng.random() < merge:
            labels[labels == one * 3] = following * 3
    moved = rng.random(len(who)) < stray
    labels[moved] = rng.choice(labels, int(moved.sum()))
    labels[rng.random(len(who)) < outlier] = -1
    known, count = np.unique(labels[labels >= 0], return_counts=True)
    labels[np.isin(labels, known[count < 2])] = -1
    return who, labels


def literal(unit, units, who, clusters):
    value = 0.0
    for person in set(who[units == unit].tolist()):
        places = set(units[who == person].tolist())
        inside = {place for place in places if place < clusters}
        if unit < clusters:
            value += 1 / len(inside)
        elif not inside:
            value += 1 / len(places)
    return value


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(WORLDS)), st.integers(0, 2**32 - 1))
def test_the_values_of_all_units_sum_up_to_the_individuals(name, seed):
    who, labels = world(np.random.default_rng(seed), *WORLDS[name])
    tracks = np.where(np.arange(len(who)) % 5 == 0, who, -1)
    tracks[labels >= 0] = -1
    for given_tracks in (None, tracks):
        units = mprd.units_of(labels, given_tracks)
        clusters = len(np.unique(labels[labels >= 0]))
        every = range(units.max() + 1)
        values = [mprd.unit_value(unit, units, who, clusters) for unit in every]
        assert values == pytest.approx([literal(u, units, who, clusters) for u in every])
        assert sum(values) == pytest.approx(len(set(who.tolist())))


@pytest.mark.parametrize("name", WORLDS)
def test_the_interval_holds_the_number(name):
    held, errors = [], []
    for seed in range(200):
        who, labels = world(np.random.default_rng(1000 + seed), *WORLDS[name])
        sample = mprd.count_sample(labels, 40, seed)
        units, clusters = mprd.units_of(labels), len(np.unique(labels[labels >= 0]))
        values = [mprd.unit_value(u, units, who, clusters) for u in sample.units.tolist()]
        found, true = mprd.count_estimate(sample, np.array(values)), len(set(who.tolist()))
        held.append(found.low <= true <= found.high)
        errors.append(found.value / true - 1)
    assert np.mean(held) >= 0.93
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(200) + 1e-9


def test_samples_are_random_units_of_strata():
    labels = np.concatenate([np.repeat(np.arange(30), 3 + np.arange(30) // 15 * 10), [-1] * 40])
    often = np.zeros(70)
    for seed in range(400):
        found = mprd.count_sample(labels, 40, seed)
        assert len(set(found.units.tolist())) == len(found.units)
        often[found.units] += 1
        assert found.sizes.tolist() == [15, 15, 40]
        assert found.clusters.tolist() == [True, True, False]
        np.testing.assert_array_equal(
            found.stratum, [u // 15 if u < 30 else 2 for u in found.units]
        )
    shares = np.bincount(found.stratum)
    for stratum, units in enumerate((slice(0, 15), slice(15, 30), slice(30, 70))):
        share = shares[stratum] / found.sizes[stratum]
        assert np.abs(often[units] / 400 - share).max() < 0.12
    everything = mprd.count_sample(labels, 1000)
    assert sorted(everything.units.tolist()) == list(range(70))


def test_what_was_all_checked_is_known():
    who, labels = world(np.random.default_rng(0), *WORLDS["few"])
    sample, units = mprd.count_sample(labels, 1000), mprd.units_of(labels)
    clusters = len(np.unique(labels[labels >= 0]))
    values = np.array([mprd.unit_value(u, units, who, clusters) for u in sample.units.tolist()])
    found = mprd.count_estimate(sample, values)
    assert (found.low, found.high) == (8, 8)
    assert found.value == pytest.approx(8)
    values[3] = np.nan
    assert mprd.count_estimate(sample, values).high > 8
    for bad in (values[:-1], -values, np.full(len(values), np.inf)):
        with pytest.raises(ValueError, match="a value of 0 or more to each of the"):
            mprd.count_estimate(sample, bad)
    with pytest.raises(ValueError, match="has 0 checks: too few"):
        mprd.count_estimate(sample, np.full(len(values), np.nan))
    for bad in (14, 0):
        with pytest.raises(ValueError, match="at least 15 checks"):
            mprd.count_sample(labels, bad)
    only = mprd.count_sample(np.full(30, -1), 15)
    assert only.clusters.tolist() == [False]
