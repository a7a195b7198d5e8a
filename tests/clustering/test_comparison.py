"""Two clusterings by the same pairs: kinds of pairs, every draw on tiny sets, literal intervals."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mprd
from mprd.clustering import audit_strata
from mprd.clustering.agreement import pair_quality
from mprd.clustering.comparison import ComparisonPairs, comparison_pairs, joined_strata
from mprd.clustering.comparison_estimate import comparison_estimate
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from tests.clustering.test_audit import check_equally_likely


def problem(images: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two clusterings that share some pairs, and features."""
    rng = np.random.default_rng(seed)
    first = rng.integers(-1, 4, images)
    first[:4] = (0, 0, 1, 1)
    second = np.where(rng.random(images) < 0.6, first, rng.integers(-1, 4, images))
    second[:4] = (0, 0, 1, 2)
    return first, second, rng.normal(size=(images, 6))


def together(labels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return (labels[pairs[:, 0]] == labels[pairs[:, 1]]) & (labels[pairs[:, 0]] >= 0)


def small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(audit_strata, "ALL_PAIRS", 5)
    patch.setattr(audit_strata, "NEIGHBORS", 3)
    patch.setattr(audit_strata, "MOST_LISTED", 5)


@settings(deadline=None)
@given(st.integers(6, 50), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_each_kind_of_pairs_has_its_strata(images, large, with_tracks, with_sides, seed):
    first, second, features = problem(images, seed)
    rng = np.random.default_rng(seed)
    tracks = rng.integers(-1, images, images) if with_tracks else np.full(images, -1)
    tracks[:4] = -1
    for track in np.unique(tracks[tracks >= 0]):
        for labels in (first, second):
            labels[tracks == track] = labels[tracks == track][0]
    side = rng.integers(-1, 2, images) if with_sides else np.full(images, -1)
    side[:4] = -1
    with pytest.MonkeyPatch.context() as patch:
        if large:
            small(patch)
        drawn = comparison_pairs(first, second, features, 40, seed, "cpu", tracks, side)
    groups = TrackGroups.of_tracks(tracks)
    units = np.array(list(combinations(range(len(groups.first)), 2)))
    units = units[~Sides.of_tracks(side, groups).apart(*units.T)]
    every = groups.first[units]
    joined = np.stack([together(labels, every) for labels in (first, second)])
    for kind in product((True, False), repeat=2):
        here = (kind == drawn.joined.T).all(axis=1)
        wanted = int((kind == joined.T).all(axis=1).sum())
        assert drawn.sizes[here].sum() == wanted
    assert (drawn.joined.any(axis=0) == (np.arange(len(drawn.sizes)) < drawn.inside)).all()
    assert len(drawn.pairs) == min(40, len(every))
    for labels, mine in zip((first, second), drawn.joined, strict=True):
        assert np.array_equal(together(labels, drawn.pairs), mine[drawn.stratum])
    assert not Sides(side).apart(*drawn.pairs.T).any()
    shown = {tuple(sorted(pair)) for pair in groups.group[drawn.pairs].tolist()}
    assert len(shown) == len(drawn.pairs), "two units are asked about once"
    asked = np.bincount(drawn.stratum, minlength=len(drawn.sizes))
    assert (asked >= 1).all()
    assert (asked <= drawn.sizes).all()


@pytest.mark.parametrize("large", [False, True])
def test_each_pair_of_a_stratum_is_equally_likely(large, monkeypatch):
    first, second, features = problem(14, 1)
    if large:
        small(monkeypatch)
    check_equally_likely(
        lambda seed: comparison_pairs(first, second, features, 40, seed, "cpu"), 1000
    )


def test_estimates_are_right_on_average_over_all_draws():
    """Four strata, every possible sample of each: precisions and their difference are unbiased."""
    truth = [[1, 1, 0, 1], [1, 0, 1], [1, 0, 0], [0, 1, 0, 1]]
    asked, sizes = [2, 2, 1, 2], np.array([4, 3, 3, 4])
    stratum = np.repeat(np.arange(4), asked)
    joined = joined_strata([1, 1, 1, 1])
    assert joined.tolist() == [[True, True, False, False], [True, False, True, False]]
    drawn = ComparisonPairs(np.zeros((7, 2), np.int64), stratum, sizes, 3, joined)
    found = []
    for draw in product(*(combinations(t, n) for t, n in zip(truth, asked, strict=True))):
        total = [sum(d) * s / n for d, s, n in zip(draw, sizes, asked, strict=True)]
        one = comparison_estimate(drawn, np.concatenate(draw))
        mine, theirs = total[0] + total[1], total[0] + total[2]
        every = sum(total)
        assert one.first.precision.value == pytest.approx(mine / 7)
        assert one.second.precision.value == pytest.approx(theirs / 7)
        gain = one.difference
        assert gain.precision.value == pytest.approx((mine - theirs) / 7)
        assert gain.f1.value == pytest.approx(2 * (mine - theirs) / (7 + every))
        if every:
            assert one.first.recall.value == pytest.approx(mine / every)
            assert one.second.recall.value == pytest.approx(theirs / every)
            assert gain.recall.value == pytest.approx((mine - theirs) / every)
        else:
            assert np.isnan(gain.recall.value)
            assert (gain.recall.low, gain.recall.high) == (-1, 1)
        for figure in (gain.precision, gain.recall, gain.f1):
            assert -1 <= figure.low <= figure.high <= 1
        found.append([one.first.precision.value, one.second.precision.value, gain.precision.value])
    assert np.mean(found, axis=0) == pytest.approx([5 / 7, 4 / 7, 1 / 7])


@settings(deadline=None)
@given(st.integers(5, 14), st.integers(0, 2**32 - 1))
def test_who_judges_every_pair_knows(images, seed):
    first, second, features = problem(images, seed)
    identity = np.random.default_rng(seed).integers(0, 3, images)
    identity[:2] = 0
    drawn = comparison_pairs(first, second, features, 1000)
    same = identity[drawn.pairs[:, 0]] == identity[drawn.pairs[:, 1]]
    found = comparison_estimate(drawn, same.astype(int))
    mine, theirs = pair_quality(first, identity), pair_quality(second, identity)
    for said, true in ((found.first, mine), (found.second, theirs)):
        assert said.precision.value == pytest.approx(true.precision)
        assert said.recall.value == pytest.approx(true.recall)
    gain = found.difference
    for figure in ("precision", "recall", "f1"):
        one, true = getattr(gain, figure), getattr(mine, figure) - getattr(theirs, figure)
        assert (one.value, one.low, one.high) == pytest.approx((true, true, true), abs=1e-9)


def test_intervals_are_those_of_the_posterior():
    """A literal posterior of the difference of precisions, without the strata of neither."""
    asked, alike, sizes = [8, 6, 6], [6, 5, 2], np.array([60, 40, 90])
    stratum = np.repeat(np.arange(3), asked)
    same = np.concatenate([np.arange(n) < x for x, n in zip(alike, asked, strict=True)])
    drawn = ComparisonPairs(
        np.zeros((20, 2), np.int64), stratum, sizes, 3, joined_strata([1, 1, 1, 0])
    )
    found = comparison_estimate(drawn, same.astype(int))
    rng = np.random.default_rng(1)
    both, mine, theirs = (
        x + rng.binomial(s - n, rng.beta(x + 0.5, n - x + 0.5, 200_000))
        for x, n, s in zip(alike, asked, sizes, strict=True)
    )
    gain = (both + mine) / 100 - (both + theirs) / 150
    wanted = np.quantile(gain, [0.025, 0.975])
    got = found.difference.precision
    assert (got.low, got.high) == pytest.approx(tuple(wanted), abs=0.015)
    f1 = 2 * (both + mine) / (100 + both + mine + theirs)
    f1 = f1 - 2 * (both + theirs) / (150 + both + mine + theirs)
    got = found.difference.f1
    assert (got.low, got.high) == pytest.approx(tuple(np.quantile(f1, [0.025, 0.975])), abs=0.015)


def test_simulated_comparisons_hold_the_truth_and_beat_two_audits():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(20), 10)
    features = rng.normal(size=(20, 16))[person] + rng.normal(size=(200, 16))
    first, second = (
        np.where(rng.random(200) < kept, person, rng.integers(0, 20, 200)) for kept in (0.8, 0.6)
    )
    mine, theirs = pair_quality(first, person), pair_quality(second, person)
    held, width, apart = [], [], []
    for seed in range(40):
        drawn = comparison_pairs(first, second, features, 60, seed, "cpu")
        same = person[drawn.pairs[:, 0]] == person[drawn.pairs[:, 1]]
        gain = comparison_estimate(drawn, same.astype(int)).difference
        held.append(gain.precision.low <= mine.precision - theirs.precision <= gain.precision.high)
        held.append(gain.f1.low <= mine.f1 - theirs.f1 <= gain.f1.high)
        width.append(gain.precision.high - gain.precision.low)
        for labels in (first, second):
            single = mprd.audit_pairs(labels, features, 30, seed, "cpu")
            same = person[single.pairs[:, 0]] == person[single.pairs[:, 1]]
            one = mprd.audit_estimate(single, same.astype(int)).precision
            apart.append((one.high - one.low) ** 2)
    assert np.mean(held) > 0.88
    assert np.mean(width) < 0.85 * (2 * np.mean(apart)) ** 0.5


def test_what_cannot_be_compared_is_told():
    first, second, features = problem(20, 0)
    with pytest.raises(ValueError, match="both join the same pairs"):
        mprd.comparison_pairs(first, np.where(first >= 0, 9 - first, -1), features)
    with pytest.raises(ValueError, match="in one of the clusterings no two images share"):
        mprd.comparison_pairs(first, np.full(20, -1), features)
    with pytest.raises(ValueError, match="at least 40 pairs, not 20"):
        mprd.comparison_pairs(first, second, features, 20)
    with pytest.raises(ValueError, match="labels must be"):
        mprd.comparison_pairs(first, second[:9], features)
    tracks = np.full(20, -1)
    tracks[2:4] = 0
    with pytest.raises(ValueError, match="one track have two labels"):
        mprd.comparison_pairs(first, second, features, tracks=tracks)
    drawn = mprd.comparison_pairs(first, second, features)
    with pytest.raises(ValueError, match="a stratum has no answer"):
        mprd.comparison_estimate(drawn, np.full(len(drawn.pairs), -1))
    with pytest.raises(ValueError, match="to each of the 50 pairs"):
        mprd.comparison_estimate(drawn, np.ones(3, int))
