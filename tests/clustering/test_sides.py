"""Left never matches right: in clusters, trees, audits and questions."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import mprd
from mprd.clustering.constraints import Constraints
from mprd.clustering.decided import decided_cut
from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.linkage import linkage_tree
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.judging.groups import Answers
from mprd.judging.worth import Curve, worthwhile


def drawn(count, seed, stored=0.6):
    rng = np.random.default_rng(seed)
    dense = rng.random((count, count)).astype(np.float32) * 0.8
    dense = np.triu(dense, 1) + np.triu(dense, 1).T
    near = np.triu(rng.random((count, count)) < stored, 1)
    near = near | near.T | np.eye(count, dtype=bool)
    first, second = np.nonzero(near)
    matrix = csr_array((dense[first, second], (first, second)), shape=dense.shape)
    matrix.sort_indices()
    return matrix, np.where(near, dense, 1), rng.integers(-1, 2, count)


def shown(members, side):
    return set(side[list(members)].tolist()) - {-1}


def literal(dense, side):
    """Average linkage, of all pairs of clusters that do not show two sides; no lists, no heap."""
    clusters = {n: {n} for n in range(len(dense))}
    merges, heights, following = [], [], len(dense)
    while True:
        found = [
            (dense[np.ix_(list(clusters[a]), list(clusters[b]))].astype(np.float64).mean(), a, b)
            for a, b in combinations(clusters, 2)
            if len(shown(clusters[a], side) | shown(clusters[b], side)) < 2
        ]
        found = [one for one in found if one[0] < 1]
        if not found:
            return np.array(merges).reshape(-1, 2), np.array(heights)
        height, a, b = min(found)
        clusters[following] = clusters.pop(a) | clusters.pop(b)
        merges.append((a, b))
        heights.append(max(height, heights[-1] if heights else 0))
        following += 1


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 24), st.integers(0, 2**32 - 1))
def test_linkage_joins_no_two_sides(count, seed):
    matrix, dense, side = drawn(count, seed)
    merges, heights = literal(dense, side)
    dropped = Sides(side).between(matrix)
    for one in (matrix, dropped):  # what is dropped could never count
        tree = linkage_tree(one, sides=side)
        np.testing.assert_allclose(tree.heights, heights, atol=1e-6)
        assert tree.merges.tolist() == merges.tolist()


def test_unknown_sides_change_nothing():
    matrix, _, side = drawn(40, 3)
    plain = linkage_tree(matrix)
    for none in (np.full(40, -1), np.zeros(40, int)):
        tree = linkage_tree(matrix, sides=none)
        np.testing.assert_array_equal(tree.merges, plain.merges)
        assert not Sides(none).several
        assert Sides(none).between(matrix) is matrix
    with pytest.raises(ValueError, match="sides"):
        linkage_tree(matrix, sides=side[:5])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 24), st.integers(0, 2**32 - 1))
def test_any_clustering_is_parted(count, seed):
    matrix, _, side = drawn(count, seed)
    labels = np.random.default_rng(seed).integers(-1, 3, count).astype(np.int32)
    sides, sizes = Sides(side), np.ones(count, int)
    relation = relation_of(sides.between(matrix))
    found = sides.part(labels, relation, sizes)
    mixed = [c for c in range(3) if len(shown(np.flatnonzero(labels == c), side)) > 1]
    if not mixed:
        np.testing.assert_array_equal(found, labels)
        return
    expected = labels.astype(object)
    near = relation.toarray()
    for cluster in mixed:
        rows = np.flatnonzero(labels == cluster)
        for row in rows.tolist():
            means = [near[row, rows[side[rows] == s]].mean() for s in (0, 1)]
            mine = side[row] if side[row] >= 0 else int(means[1] > means[0])
            expected[row] = (cluster, mine)
    assert (found[labels < 0] == -1).all()
    for a, b in combinations(np.flatnonzero(labels >= 0).tolist(), 2):
        assert (found[a] == found[b] >= 0) == (expected[a] == expected[b]), (
            "together as they are, apart by side"
        )
    sized = np.bincount(found[found >= 0])
    assert (sized >= 2).all()


def test_a_person_joins_what_sides_part():
    dense = np.array([[0, 0.1, 1, 1], [0.1, 0, 1, 1], [1, 1, 0, 0.1], [1, 1, 0.1, 0]])
    matrix, side = csr_array(dense), np.array([0, 0, 1, 1])
    ones = np.ones(4, int)
    for pairs, expected in ((np.empty((0, 2)), [0, 0, 1, 1]), ([[0, 2]], [0, 0, 0, 0])):
        known = Constraints.of_answers(4, np.array(pairs), np.ones(len(pairs), bool))
        tree = linkage_tree(matrix, constraints=known, sides=side)
        found = decided_cut(tree, 0.5, 2, known, ones, np.zeros(4, bool))
        assert found.tolist() == expected


def test_the_side_of_a_track():
    tracks = TrackGroups.of_tracks(np.array([0, 0, 1, 1, 2, 2, -1]))
    sides = Sides.of_tracks(np.array([1, 1, 0, 1, -1, 0, -1]), tracks)
    assert sides.of.tolist() == [1, -1, 0, -1]


def test_an_audit_asks_about_no_two_sides():
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(20), 8)
    side = np.where(rng.random(160) < 0.2, -1, rng.integers(0, 2, 160))
    labels = np.where(side < 0, who, who + 20 * side)  # unknown ones go left
    labels[who < 3] = who[who < 3]  # a person joined these
    features = rng.normal(size=(20, 16))[who] + rng.normal(size=(160, 16))
    tracks = np.where(np.arange(160) % 8 < 2, who, -1)
    tracks[labels != labels[np.repeat(np.arange(0, 160, 8), 8)]] = -1
    for given_tracks in (None, tracks):
        found = mprd.audit_pairs(labels, features, 60, tracks=given_tracks, sides=side)
        assert not Sides(side).apart(*found.pairs.T).any()
        none = np.full(160, -1) if given_tracks is None else tracks
        groups = TrackGroups.of_tracks(none)
        own, of = labels[groups.first], Sides.of_tracks(side, groups)
        every = np.array(list(combinations(range(len(own)), 2)))
        kept = every[~of.apart(*every.T)]
        assert found.sizes.sum() == len(kept)
        together = own[kept[:, 0]] == own[kept[:, 1]]
        assert found.sizes[: found.inside].sum() == together.sum()
    plain = mprd.audit_pairs(labels, features, 60)
    none = mprd.audit_pairs(labels, features, 60, sides=np.full(160, -1))
    np.testing.assert_array_equal(plain.pairs, none.pairs)
    with pytest.raises(ValueError, match="sides"):
        mprd.audit_pairs(labels, features, 60, sides=side[:4])


def test_pairs_of_many_images_are_drawn_without_two_sides(monkeypatch):
    from mprd.clustering import audit_strata

    monkeypatch.setattr(audit_strata, "MOST_LISTED", 10)
    monkeypatch.setattr(audit_strata, "ALL_PAIRS", 10)
    monkeypatch.setattr(audit_strata, "NEIGHBORS", 5)
    rng = np.random.default_rng(0)
    side, labels = rng.integers(-1, 2, 200), rng.integers(0, 9, 200)
    found = mprd.audit_pairs(labels, rng.normal(size=(200, 8)), 80, device="cpu", sides=side)
    assert not Sides(side).apart(*found.pairs.T).any()
    assert len(np.unique(found.pairs, axis=0)) == len(found.pairs) == 80
    same = labels[found.pairs[:, 0]] == labels[found.pairs[:, 1]]
    np.testing.assert_array_equal(same, found.stratum < found.inside)


def test_no_question_is_about_two_sides():
    matrix, _, side = drawn(60, 5, stored=0.3)
    labels = np.random.default_rng(1).integers(0, 12, 60)
    none = Constraints.of_answers(60, np.empty((0, 2)), np.empty(0, bool))
    answers = Answers(np.empty((0, 2), np.int64), np.empty(0, bool))
    given = labels, relation_of(matrix), none, answers, 99, Curve(), 0.5
    asked = worthwhile(*given, sides=side)
    assert asked
    assert not any(Sides(side).apart(np.array([q.a]), np.array([q.b]))[0] for q in asked)
    before = worthwhile(*given)
    assert any(Sides(side).apart(np.array([q.a]), np.array([q.b]))[0] for q in before)
