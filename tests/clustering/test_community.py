"""Communities against an exhaustive search of all partitions of small graphs."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from mprd.clustering.community import cluster_by_community, community
from mprd.clustering.graph_matrix import within
from mprd.config import ClusterConfig


def partitions(count):
    """All partitions of 0..count-1, as labels."""
    if count == 0:
        yield []
        return
    for labels in partitions(count - 1):
        for label in range(max(labels, default=-1) + 2):
            yield [*labels, label]


def quality(relation, labels, gamma):
    return sum(
        relation[i, j] - gamma
        for i in range(len(labels))
        for j in range(i)
        if labels[i] == labels[j]
    )


def random_relation(count, density, seed):
    rng = np.random.default_rng(seed)
    weights = np.triu(rng.random((count, count)) * (rng.random((count, count)) < density), 1)
    return weights + weights.T + np.eye(count)  # the diagonal must not count


def test_near_the_best_of_all_partitions():
    """Leiden is a heuristic: over random graphs it finds nearly the optimum."""
    shares = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        gamma, count = rng.choice([0.02, 0.1, 0.3, 0.6]), int(rng.integers(3, 8))
        relation = random_relation(count, rng.random(), seed)
        found = community(csr_array(relation), gamma, min_size=1)
        best = max(quality(relation, labels, gamma) for labels in partitions(count))
        if best > 0:
            shares.append(quality(relation, found.tolist(), gamma) / best)
    assert len(shares) > 100
    assert np.mean(shares) > 0.99
    assert min(shares) > 0.8


def test_a_pair_joins_above_gamma():
    pair = csr_array(np.array([[0, 0.4], [0.4, 0]]))
    assert community(pair, 0.39).tolist() == [0, 0]
    assert community(pair, 0.41, min_size=1).tolist() == [0, 1]
    assert community(pair, 0.41).tolist() == [-1, -1]


def test_one_wrong_edge_does_not_join_two_identities():
    """What DBSCAN does by one edge."""
    relation = np.kron(np.eye(2), np.full((6, 6), 0.8))
    relation[0, 6] = relation[6, 0] = 0.9
    assert community(csr_array(relation), 0.2).tolist() == [0] * 6 + [1] * 6


def test_numbers_follow_the_first_member_and_small_ones_are_outliers():
    relation = np.zeros((7, 7))
    for members in ([0], [1, 4], [2, 3, 5]):
        relation[np.ix_(members, members)] = 0.9
    assert community(csr_array(relation), 0.3).tolist() == [-1, 0, 1, 1, 0, 1, -1]
    assert community(csr_array(relation), 0.3, min_size=3).tolist() == [-1, -1, 0, 0, -1, 0, -1]


def test_deterministic_and_degenerate():
    relation = csr_array(random_relation(300, 0.05, 1))
    assert np.array_equal(community(relation, 0.1), community(relation, 0.1))
    assert community(csr_array((4, 4)), 0.1).tolist() == [-1] * 4
    assert community(csr_array((1, 1)), 0.1, min_size=1).tolist() == [0]
    for change in ({"gamma": 0.0}, {"gamma": 1.0}, {"gamma": 0.1, "min_size": 0}):
        with pytest.raises(ValueError, match="gamma must lie between"):
            community(relation, **change)
    with pytest.raises(ValueError, match="square"):
        community(csr_array((2, 3)), 0.1)


def test_pairs_beyond_eps_count_nothing():
    distance = csr_array(np.array([[0, 0.3, 0], [0.3, 0, 0.65], [0, 0.65, 0]]))
    settings = ClusterConfig(method="community", gamma=0.1, min_size=2)
    assert cluster_by_community(distance, settings).tolist() == [0, 0, 0]
    near = within(distance, distance.data <= 0.6)
    assert cluster_by_community(near, settings).tolist() == [0, 0, -1]


def test_chosen_entries_keep_their_places():
    rng = np.random.default_rng(0)
    dense = np.where(rng.random((9, 9)) < 0.5, 0, rng.random((9, 9)))
    matrix = csr_array(dense)
    matrix.data[0] = 0  # a stored distance of 0 is kept
    chosen = rng.random(matrix.nnz) < 0.5
    chosen[0] = True
    found = within(matrix, chosen)
    rows = np.repeat(np.arange(9), np.diff(matrix.indptr))
    expected = sorted(zip(rows[chosen], matrix.indices[chosen], matrix.data[chosen], strict=True))
    kept = np.repeat(np.arange(9), np.diff(found.indptr))
    assert sorted(zip(kept, found.indices, found.data, strict=True)) == expected
    assert within(matrix, np.ones(matrix.nnz, bool)) is matrix
