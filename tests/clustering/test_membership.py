"""Membership against a loop over mates."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mprd.clustering.membership import doubt_rank, membership, relative_membership


@given(st.lists(st.integers(-1, 2), min_size=1, max_size=10), st.integers(0, 2**32 - 1))
def test_equals_a_loop_over_mates(labels, seed):
    rng = np.random.default_rng(seed)
    count = len(labels)
    upper = np.triu(rng.random((count, count)), 1)
    stored = np.triu(rng.random((count, count)) < 0.6, 1)
    stored = stored | stored.T | np.eye(count, dtype=bool)
    rows, columns = np.nonzero(stored)
    dense = upper + upper.T
    distance = csr_array((dense[rows, columns], (rows, columns)), (count, count))
    found = membership(distance, np.array(labels))
    for i, label in enumerate(labels):
        mates = [j for j in range(count) if j != i and labels[j] == label and label >= 0]
        expected = [1 - dense[i, j] if stored[i, j] else 0.0 for j in mates]
        np.testing.assert_allclose(found[i], np.mean(expected) if mates else 0, atol=1e-6)
    assert found.dtype == np.float32


def test_relative_to_the_mean_of_the_cluster():
    labels = np.array([0, 0, 1, 1, -1])
    found = relative_membership(np.array([0.6, 0.2, 0.1, 0.9, 0.0], np.float32), labels)
    np.testing.assert_allclose(found, [1.5, 0.5, 0.2, 1.5, 1], atol=1e-6)
    np.testing.assert_array_equal(relative_membership(np.zeros(2, np.float32), labels[:2]), [0, 0])


def test_the_least_member_is_the_most_doubtful():
    found = doubt_rank(np.array([0.6, 0.2, 0.9, 0.2, 0.0], np.float32), np.array([0, 0, 1, 1, -1]))
    np.testing.assert_array_equal(found, [3, 1, 4, 2, 0])
