"""Which pairs are asked: what an answer changes, times how likely it is not known already."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from mprd.clustering.constraints import Constraints
from mprd.judging.groups import Answers
from mprd.judging.worth import Curve, worthwhile

THRESHOLD = 0.75


def near(count: int, pairs: dict[tuple[int, int], float]) -> csr_array:
    dense = np.zeros((count, count))
    for (a, b), value in pairs.items():
        dense[a, b] = dense[b, a] = value
    return csr_array(dense)


def known(count: int, *said: tuple[int, int, bool]) -> tuple[Constraints, Answers]:
    """What answers say, and the answers."""
    pairs = np.array([pair[:2] for pair in said], np.int64).reshape(-1, 2)
    same = np.array([yes for *_, yes in said], bool)
    return Constraints.of_answers(count, pairs, same), Answers(pairs, same)


def blocks(far: float = 0.1) -> tuple[np.ndarray, csr_array]:
    """Two clusters of three, near each other, and a pair that is far from both."""
    pairs = {(a, b): 1.0 for group in ([0, 1, 2], [3, 4, 5], [6, 7]) for a in group for b in group}
    pairs = {pair: value for pair, value in pairs.items() if pair[0] < pair[1]}
    pairs |= {(a, b): 0.25 for a in (0, 1, 2) for b in (3, 4, 5)}
    pairs |= {(2, 6): far}
    return np.array([0, 0, 0, 1, 1, 1, 2, 2]), near(8, pairs)


def test_large_doubtful_merges_come_first():
    labels, relation = blocks()
    first, *others = worthwhile(labels, relation, *known(8), 9, Curve(), THRESHOLD)
    assert (labels[first.a], labels[first.b], first.joined, first.moves) == (0, 1, False, 3)
    assert all(labels[q.a] == labels[q.b] for q in others if q.joined)


@pytest.mark.parametrize("yes", [True, False])
def test_what_hangs_on_one_answer_is_asked_once_more(yes):
    labels, relation = blocks(far=0.0)
    now = np.where(labels == 1, 0, labels) if yes else labels
    found = worthwhile(now, relation, *known(8, (0, 3, yes)), 9, Curve(), THRESHOLD)
    again = [q for q in found if {int(labels[q.a]), int(labels[q.b])} == {0, 1}]
    assert [(q.joined, {q.a, q.b} & {0, 3}) for q in again] == [(yes, set())], "other images"
    before = Curve().probability(again[0].facts, np.zeros(1))
    sure = np.log(49)
    after = Curve().probability(again[0].facts, np.array([sure if yes else -sure]))
    assert (after > before) == yes


def test_the_halves_of_an_impure_cluster_are_asked():
    labels, relation = blocks()
    joined = np.where(labels == 1, 0, labels)
    first = worthwhile(joined, relation, *known(8), 1, Curve(), THRESHOLD)[0]
    assert (labels[first.a], labels[first.b], first.joined, first.moves) == (0, 1, True, 3)


def test_the_middle_of_a_group_stands_for_it():
    pairs = {(0, 1): 0.9, (1, 2): 0.9, (3, 4): 0.9, (4, 5): 0.9, (2, 3): 0.3}
    found = worthwhile(
        np.array([0, 0, 0, 1, 1, 1]), near(6, pairs), *known(6), 1, Curve(), THRESHOLD
    )
    assert (found[0].a, found[0].b) == (1, 4)


def test_tracks_count_by_their_images():
    relation = near(4, {(0, 1): 0.25, (2, 3): 0.25})
    labels = np.array([-1, -1, -1, -1])
    sizes = np.array([1, 1, 9, 9])
    first = worthwhile(labels, relation, *known(4), 2, Curve(), THRESHOLD, sizes)[0]
    assert (first.a, first.b, first.moves) == (2, 3, 9)


def test_the_curve_follows_the_answers():
    rng = np.random.default_rng(0)
    facts = np.stack([np.ones(400), rng.uniform(-0.2, 0.2, 400), np.zeros(400)], axis=1)
    same = rng.random(400) < 1 / (1 + np.exp(2 - 20 * facts[:, 1]))
    curve = Curve.fitted(facts, same)
    assert abs(curve.weights[0] + 2) < 0.7
    assert abs(curve.weights[1] - 20) < 6
    assert np.allclose(Curve.fitted(facts[:0], same[:0]).weights, Curve().weights)


def test_nothing_near_is_nothing_to_ask():
    found = worthwhile(np.array([-1, -1]), near(2, {}), *known(2), 5, Curve(), THRESHOLD)
    assert found == []
