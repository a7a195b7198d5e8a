"""The audit: every pair of a stratum is equally likely, the estimates against all draws."""

from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare

import mprd
from mprd.clustering import audit_strata
from mprd.clustering.agreement import pair_quality
from mprd.clustering.audit import AuditPairs, audit_pairs
from mprd.clustering.audit_estimate import audit_estimate


def problem(count: int, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, clusters, count)
    labels[:2] = 0
    return labels, rng.normal(size=(count, 6))


def together(labels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return (labels[pairs[:, 0]] == labels[pairs[:, 1]]) & (labels[pairs[:, 0]] >= 0)


def check(labels: np.ndarray, drawn: AuditPairs, count: int) -> None:
    images = len(labels)
    every = np.array(list(combinations(range(images), 2)))
    inside = together(labels, every).sum()
    assert drawn.sizes[: drawn.inside].sum() == inside
    assert drawn.sizes.sum() == len(every)
    assert len(drawn.pairs) == len(drawn.stratum) == min(count, len(every))
    assert (drawn.pairs[:, 0] < drawn.pairs[:, 1]).all()
    assert len({tuple(pair) for pair in drawn.pairs.tolist()}) == len(drawn.pairs)
    assert np.array_equal(together(labels, drawn.pairs), drawn.stratum < drawn.inside)
    asked = np.bincount(drawn.stratum, minlength=len(drawn.sizes))
    assert (asked >= 1).all()
    assert (asked <= drawn.sizes).all()
    assert np.allclose(drawn.probability, (asked / drawn.sizes)[drawn.stratum])


@given(st.integers(4, 40), st.integers(1, 8), st.integers(20, 90), st.integers(0, 2**32 - 1))
def test_strata_are_all_pairs_once(images, clusters, count, seed):
    labels, features = problem(images, clusters, seed)
    drawn = audit_pairs(labels, features, count, seed)
    check(labels, drawn, count)
    again = audit_pairs(labels, features, count, seed)
    assert np.array_equal(drawn.pairs, again.pairs)


@settings(deadline=None)  # the first search loads faiss
@given(st.integers(12, 60), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_large_folders_list_only_near_pairs(images, clusters, seed):
    labels, features = problem(images, clusters, seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(audit_strata, "ALL_PAIRS", 5)
        patch.setattr(audit_strata, "NEIGHBORS", 3)
        patch.setattr(audit_strata, "MOST_LISTED", 10)
        drawn = audit_pairs(labels, features, 30, seed)
    check(labels, drawn, 30)


def check_equally_likely(draw, seeds):
    """Assert that a function of a seed draws each pair of a stratum as often as the others."""
    seen: dict[int, dict[tuple[int, ...], int]] = {}
    for seed in range(seeds):
        drawn = draw(seed)
        for pair, stratum in zip(drawn.pairs.tolist(), drawn.stratum.tolist(), strict=True):
            counts = seen.setdefault(stratum, {})
            counts[tuple(pair)] = counts.get(tuple(pair), 0) + 1
    for stratum, counts in seen.items():
        assert len(counts) == drawn.sizes[stratum], "each can be drawn"
        assert len(counts) == 1 or chisquare(list(counts.values())).pvalue > 1e-4


@pytest.mark.parametrize("large", [False, True])
def test_each_pair_of_a_stratum_is_equally_likely(large, monkeypatch):
    labels, features = problem(14, 3, 1)
    if large:
        monkeypatch.setattr(audit_strata, "ALL_PAIRS", 5)
        monkeypatch.setattr(audit_strata, "NEIGHBORS", 2)
        monkeypatch.setattr(audit_strata, "MOST_LISTED", 1)
    check_equally_likely(lambda seed: audit_pairs(labels, features, 20, seed), 1500)


def in_tracks(images: int, clusters: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, features and tracks; images of one track have one label."""
    labels, features = problem(images, clusters, seed)
    tracks = np.random.default_rng(seed).integers(-1, images // 2, images)
    for track in np.unique(tracks[tracks >= 0]):
        labels[tracks == track] = labels[tracks == track][0]
    return labels, features, tracks


def units(tracks: np.ndarray) -> list[list[int]]:
    """Return the images of each track, and each other image."""
    known = [np.flatnonzero(tracks == track).tolist() for track in np.unique(tracks[tracks >= 0])]
    return known + [[row] for row in np.flatnonzero(tracks < 0).tolist()]


@settings(deadline=None)
@given(st.integers(8, 40), st.integers(1, 6), st.booleans(), st.integers(0, 2**32 - 1))
def test_a_track_counts_once(images, clusters, large, seed):
    labels, features, tracks = in_tracks(images, clusters, seed)
    of = {row: n for n, rows in enumerate(units(tracks)) for row in rows}
    first = [rows[0] for rows in units(tracks)]
    every = np.array(list(combinations(first, 2)))
    inside = together(labels, every)
    if not inside.any():
        with pytest.raises(ValueError, match="share a cluster"):
            audit_pairs(labels, features, 20, seed, tracks=tracks)
        return
    with pytest.MonkeyPatch.context() as patch:
        if large:
            patch.setattr(audit_strata, "ALL_PAIRS", 5)
            patch.setattr(audit_strata, "NEIGHBORS", 2)
            patch.setattr(audit_strata, "MOST_LISTED", 10)
        drawn = audit_pairs(labels, features, 20, seed, tracks=tracks)
    assert drawn.sizes[: drawn.inside].sum() == inside.sum()
    assert drawn.sizes.sum() == len(every)
    assert len(drawn.pairs) == min(20, len(every))
    between = {tuple(sorted((of[a], of[b]))) for a, b in drawn.pairs.tolist()}
    assert len(between) == len(drawn.pairs), "two units are asked about once"
    assert all(a != b for a, b in between)
    assert np.array_equal(together(labels, drawn.pairs), drawn.stratum < drawn.inside)


def test_no_tracks_draw_as_ever():
    labels, features = problem(40, 5, 2)
    plain = audit_pairs(labels, features, 30, 1)
    own = audit_pairs(labels, features, 30, 1, tracks=np.arange(40))
    none = audit_pairs(labels, features, 30, 1, tracks=np.full(40, -1))
    assert np.array_equal(plain.pairs, none.pairs)
    assert np.array_equal(plain.pairs, own.pairs)


def test_every_image_of_a_track_can_be_shown():
    labels, features, tracks = in_tracks(30, 3, 5)
    seen = {
        row
        for seed in range(60)
        for row in audit_pairs(labels, features, 20, seed, tracks=tracks).pairs.ravel().tolist()
    }
    assert seen == set(range(30))


def test_simulated_audits_of_tracks_are_right_on_average():
    """Long tracks would make half of the pairs inside clusters right, whatever is in them."""
    rng = np.random.default_rng(0)
    person = rng.integers(0, 8, 60)  # of a track
    length = rng.integers(1, 12, 60)
    cluster = np.where(rng.random(60) < 0.6, person, rng.integers(0, 8, 60))
    tracks = np.repeat(np.arange(60), length)
    identity, labels = person[tracks], cluster[tracks]
    features = np.eye(8)[identity] + rng.normal(size=(len(tracks), 8))
    truth = pair_quality(cluster, person)
    frames = pair_quality(labels, identity)
    assert frames.precision > truth.precision + 0.05
    found = []
    for seed in range(200):
        drawn = audit_pairs(labels, features, 50, seed, tracks=tracks)
        same = identity[drawn.pairs[:, 0]] == identity[drawn.pairs[:, 1]]
        found.append(audit_estimate(drawn, same.astype(int)).precision)
    values = np.array([one.value for one in found])
    assert abs(values.mean() - truth.precision) < 3 * values.std() / len(values) ** 0.5
    assert np.mean([one.low <= truth.precision <= one.high for one in found]) > 0.9


def test_near_pairs_come_first():
    labels, features = problem(30, 4, 3)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    drawn = audit_pairs(labels, features, 10_000)
    similar = (features[drawn.pairs[:, 0]] * features[drawn.pairs[:, 1]]).sum(axis=1)
    for half in (range(drawn.inside), range(drawn.inside, len(drawn.sizes))):
        for near, far in pairwise(half):
            lowest = similar[drawn.stratum == near].min()
            assert lowest >= similar[drawn.stratum == far].max() - 1e-6


def test_estimates_are_unbiased_over_all_draws():
    """Three strata, every possible sample of each: totals and precision are right on average."""
    truth = [np.array([1, 1, 0, 1]), np.array([1, 0, 0]), np.array([0, 1, 0, 0, 0])]
    asked, sizes = [2, 2, 2], np.array([4, 3, 5])
    stratum = np.repeat(np.arange(3), asked)
    drawn = AuditPairs(np.zeros((6, 2), np.int64), stratum, sizes, 2)
    precision, totals = [], []
    samples = [list(combinations(t, n)) for t, n in zip(truth, asked, strict=True)]
    for draw in product(*samples):
        found = audit_estimate(drawn, np.concatenate(draw))
        inside = 2 * sum(draw[0]) + 1.5 * sum(draw[1])
        missed = 2.5 * sum(draw[2])
        totals.append((inside, missed))
        precision.append(found.precision.value)
        assert found.precision.value == pytest.approx(inside / 7)
        if inside + missed:
            assert found.recall.value == pytest.approx(inside / (inside + missed))
        for one in (found.precision, found.recall):
            assert 0 <= one.low <= one.high <= 1
            if not np.isnan(one.value):
                assert one.low <= one.value <= one.high
    assert np.mean(precision) == pytest.approx(4 / 7)
    assert np.mean(totals, axis=0) == pytest.approx((4, 1))


@given(st.integers(4, 14), st.integers(0, 2**32 - 1))
def test_who_judges_every_pair_knows(images, seed):
    labels, features = problem(images, 3, seed)
    identity = np.random.default_rng(seed).integers(0, 3, images)
    drawn = audit_pairs(labels, features, 1000)
    same = identity[drawn.pairs[:, 0]] == identity[drawn.pairs[:, 1]]
    found = audit_estimate(drawn, same.astype(int))
    truth = pair_quality(labels, identity)
    assert found.precision.value == pytest.approx(truth.precision)
    if same.any():
        assert found.recall.value == pytest.approx(truth.recall)
    if 0 < truth.precision < 1:
        assert found.precision.low == found.precision.high


def test_what_cannot_be_told_is_not_counted():
    drawn = AuditPairs(np.zeros((5, 2), np.int64), np.array([0, 0, 0, 1, 1]), np.array([9, 40]), 1)
    found = audit_estimate(drawn, np.array([1, 0, -1, 0, -1]))
    assert found.answers == 3
    assert found.precision.value == 0.5
    assert found.recall.value == found.recall.high == 1
    with pytest.raises(ValueError, match="a stratum has no answer"):
        audit_estimate(drawn, np.array([1, 0, 1, -1, -1]))
    for bad in ([1, 0], [1, 0, 2, 0, 0]):
        with pytest.raises(ValueError, match="to each of the 5 pairs"):
            audit_estimate(drawn, np.array(bad))


def test_what_cannot_be_audited_is_told():
    labels, features = problem(12, 3, 0)
    with pytest.raises(ValueError, match="no two images share a cluster"):
        mprd.audit_pairs(np.full(12, -1), features)
    with pytest.raises(ValueError, match="at least 20 pairs"):
        mprd.audit_pairs(labels, features, 5)
    with pytest.raises(ValueError, match="labels"):
        mprd.audit_pairs(labels[:5], features)
    with pytest.raises(ValueError, match="tracks"):
        mprd.audit_pairs(labels, features, tracks=np.zeros(5))
    with pytest.raises(ValueError, match="one track have two labels"):
        mprd.audit_pairs(np.arange(12) // 6, features, tracks=np.zeros(12))
    with pytest.raises(ValueError, match="no two tracks share a cluster"):
        mprd.audit_pairs(np.arange(12) // 6, features, tracks=np.arange(12) // 6)


def literal_audit(alike, asked, sizes, inside, draws=200_000):
    """Quantiles of precision and recall: all draws of the prior, weighted by the answers."""
    rng, between = np.random.default_rng(5), range(inside, len(sizes))
    found = np.zeros(draws)
    for n in range(inside):
        rate = rng.beta(0.5 + alike[n], 0.5 + asked[n] - alike[n], draws)
        found += alike[n] + rng.binomial(sizes[n] - asked[n], rate)
    pace = 4 ** rng.random(draws)
    missed, weight, rate, before = np.zeros(draws), np.ones(draws), rng.random(draws), 0
    for n in between:
        end = before + sizes[n]
        if before:
            doublings = max(1, round(np.log2(end / before)))
            rate = rate * np.exp(-rng.gamma(doublings, 1 / pace))
        weight *= binom.pmf(alike[n], asked[n], rate)
        missed += alike[n] + rng.binomial(sizes[n] - asked[n], rate)
        before = end
    precision, recall = found / sum(sizes[:inside]), found / np.maximum(found + missed, 1)
    ends = []
    for values, weights in ((precision, np.ones(draws)), (recall, weight)):
        order = np.argsort(values)
        reached = np.cumsum(weights[order]) / weights.sum()
        ends += [values[order][np.searchsorted(reached, q)] for q in (0.025, 0.975)]
    return ends


@pytest.mark.parametrize(
    ("alike", "asked", "sizes", "inside"),
    [
        ([9, 6], [10, 10], [40, 60], 2),
        ([8, 7, 3], [10, 10, 10], [50, 50, 40], 2),
        ([8, 5, 4, 1], [12, 12, 12, 12], [80, 60, 120, 480], 1),
        ([8, 5, 1, 1], [12, 12, 12, 12], [80, 20, 300, 5000], 1),
    ],
)
def test_intervals_are_those_of_the_posterior(alike, asked, sizes, inside):
    """By importance sampling of whole draws, with gamma variates for the products of the pace."""
    stratum = np.repeat(np.arange(len(asked)), asked)
    same = np.concatenate([np.arange(n) < x for x, n in zip(alike, asked, strict=True)]).astype(int)
    drawn = AuditPairs(np.zeros((len(same), 2), np.int64), stratum, np.array(sizes), inside)
    found = audit_estimate(drawn, same)
    ends = literal_audit(alike, asked, sizes, inside)
    mine = [found.precision.low, found.precision.high]
    if inside < len(sizes):
        mine += [found.recall.low, found.recall.high]
    np.testing.assert_allclose(mine, ends[: len(mine)], atol=0.025)
    assert found.answers == len(same)
    assert found.rates == pytest.approx(
        [
            (x + (s - n) * (x + 0.5) / (n + 1)) / s
            for x, n, s in zip(alike, asked, sizes, strict=True)
        ][:inside],
        abs=0.01,
    )
