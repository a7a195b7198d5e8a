"""Answers hold in the clusters, and nothing else is torn apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mprd.clustering.constraints import Constraints, ContradictionError, constrain


@st.composite
def cases(draw):
    """Labels, relations, and answers that some true identities would give."""
    count = draw(st.integers(2, 16))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    raw = rng.integers(-1, draw(st.integers(1, 5)), count)
    labels = np.full(count, -1)
    labels[raw >= 0] = np.unique(raw[raw >= 0], return_inverse=True)[1]
    near = rng.random((count, count)) * (rng.random((count, count)) < 0.6)
    near = np.maximum(near, near.T)
    np.fill_diagonal(near, 1)
    identity = rng.integers(0, draw(st.integers(1, 6)), count)
    answers = draw(st.integers(0, 14))
    pairs = np.array([rng.choice(count, 2, replace=False) for _ in range(answers)], int)
    pairs = pairs.reshape(-1, 2)
    return labels, csr_array(near), pairs, identity[pairs[:, 0]] == identity[pairs[:, 1]]


def together(labels: np.ndarray) -> np.ndarray:
    return (labels[:, None] == labels[None]) & (labels >= 0)[:, None]


@given(cases())
@settings(max_examples=300, deadline=None)
def test_every_answer_holds(case):
    labels, near, pairs, same = case
    found = together(constrain(labels, near, Constraints.of_answers(len(labels), pairs, same)))
    assert found[pairs[same, 0], pairs[same, 1]].all()
    assert not found[pairs[~same, 0], pairs[~same, 1]].any()


@given(cases())
@settings(max_examples=300, deadline=None)
def test_what_follows_holds(case):
    """The closure, by repeated application of the two rules."""
    labels, near, pairs, same = case
    count = len(labels)
    one, two = np.eye(count, dtype=bool), np.zeros((count, count), bool)
    one[pairs[same, 0], pairs[same, 1]] = True
    two[pairs[~same, 0], pairs[~same, 1]] = True
    one, two = one | one.T, two | two.T
    for _ in range(count):
        one = one | (one.astype(int) @ one > 0)
        two = two | (one.astype(int) @ two > 0) | (two.astype(int) @ one > 0)
    found = together(constrain(labels, near, Constraints.of_answers(count, pairs, same)))
    linked = one & ~np.eye(count, dtype=bool)
    assert found[linked].all()
    assert not found[two].any()


@given(cases())
@settings(max_examples=300, deadline=None)
def test_nothing_else_is_torn_apart(case):
    labels, near, pairs, same = case
    before = together(labels)
    after = constrain(labels, near, Constraints.of_answers(len(labels), pairs, same))
    touched = set(labels[pairs[~same].ravel()].tolist())
    touched |= set(labels[pairs[same].ravel()].tolist())
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    for k in set(labels[labels >= 0].tolist()) - touched:
        members = labels == k
        if sizes[k] > 1:
            assert len(set(after[members].tolist())) == 1, "a cluster of no answer stays whole"
            assert (after == after[members][0]).sum() == sizes[k], "and takes nobody in"
    if same.all():
        stays = before & (sizes[np.maximum(labels, 0)] > 1)[:, None]
        assert together(after)[stays].all(), "links alone only join"
    unnamed = (labels < 0) & ~np.isin(np.arange(len(labels)), pairs)
    assert (after[unnamed] == -1).all(), "outliers of no answer stay outliers"


@given(cases())
def test_answers_that_hold_already_change_nothing(case):
    labels, near, pairs, _ = case
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    labels = np.where((labels >= 0) & (sizes[np.maximum(labels, 0)] > 1), labels, -1)
    found = together(labels)[pairs[:, 0], pairs[:, 1]]
    after = constrain(labels, near, Constraints.of_answers(len(labels), pairs, found))
    np.testing.assert_array_equal(together(after), together(labels))


def test_a_cluster_of_two_people_is_parted_by_similarity():
    """Rows 0-2 and 3-5 are near to each other; one answer parts them all."""
    near = np.full((6, 6), 0.1)
    near[:3, :3] = near[3:, 3:] = 0.8
    answers = Constraints.of_answers(6, np.array([[0, 5]]), np.array([False]))
    found = constrain(np.zeros(6, int), csr_array(near), answers)
    assert found.tolist() == [0, 0, 0, 1, 1, 1]


def test_clusters_that_share_a_person_are_joined_whole():
    labels = np.array([0, 0, 1, 1, -1, 2, 2])
    answers = Constraints.of_answers(7, np.array([[0, 2], [4, 3]]), np.array([True, True]))
    found = constrain(labels, csr_array(np.eye(7)), answers)
    assert found.tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_a_contradiction_is_named():
    pairs = np.array([[0, 1], [1, 2], [2, 3], [0, 3]])
    with pytest.raises(ContradictionError) as raised:
        Constraints.of_answers(5, pairs, np.array([True, True, True, False]))
    assert raised.value.chain == [0, 1, 2, 3]


def test_no_answers():
    labels = np.array([0, 0, -1, 1, 1])
    none = Constraints.of_answers(5, np.empty((0, 2)), np.empty(0))
    assert constrain(labels, csr_array(np.eye(5)), none).tolist() == labels.tolist()
