"""The sparse Jaccard distance against the dense formula, written out in loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN

from mprd.clustering.dbscan import dbscan
from mprd.graph import jaccard_distance, knn
from mprd.graph.reciprocal import list_length


def clustered(count, dim=12, clusters=5, noise=0.6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(clusters, dim))[rng.integers(0, clusters, count)]
    x = (x + noise * rng.normal(size=(count, dim))).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def neighbours(features, k1, k2):
    width = min(len(features), max(k1, k2, round(k1 / 2) + 1))
    return knn(features, width, "faiss")[1]


def literal(features, index, k1, k2):
    """Dense N x N distances, straight from the formulas."""
    count = len(features)
    near = [list(row) for row in index]

    def reciprocal(i, k):
        return {j for j in near[i][:k] if i in near[j][:k]}

    weights = np.zeros((count, count))
    for i in range(count):
        core = reciprocal(i, k1)
        extended = set(core)
        for c in core:
            more = reciprocal(c, round(k1 / 2) + 1)
            if len(more & core) > 2 / 3 * len(more):
                extended |= more
        members = sorted(extended)
        cosine = features[members].astype(np.float64) @ features[i].astype(np.float64)
        exponential = np.exp(-(2 - 2 * cosine))
        weights[i, members] = exponential / exponential.sum()
    if k2 > 1:
        weights = np.stack([weights[near[i][:k2]].mean(axis=0) for i in range(count)])
    distance = np.empty((count, count))
    for i in range(count):
        for j in range(count):
            s = np.minimum(weights[i], weights[j]).sum()
            distance[i, j] = 1 - s / (2 - s)
    return distance


def assert_equals_literal(features, k1, k2, eps_max):
    index = neighbours(features, k1, k2)
    found = jaccard_distance(features, index, k1, k2, eps_max)
    dense = literal(features, index, k1, k2)
    stored = np.zeros(dense.shape, bool)
    stored[found.nonzero()] = True
    row = np.repeat(np.arange(len(features)), np.diff(found.indptr))
    stored[row, found.indices] = True
    assert np.abs(found.data - dense[row, found.indices]).max() < 1e-5
    assert np.all(dense[~stored] > eps_max - 1e-5)
    assert np.all(dense[stored] <= eps_max + 1e-5)
    return found, dense


@pytest.mark.parametrize(
    ("count", "k1", "k2"),
    [(1, 30, 6), (2, 30, 6), (3, 30, 6), (3, 1, 1), (20, 30, 6), (120, 30, 6), (120, 7, 3),
     (120, 20, 1), (120, 6, 20), (90, 2, 2)],
)  # fmt: skip
def test_equals_the_dense_formula(count, k1, k2):
    found, _ = assert_equals_literal(clustered(count), k1, k2, 0.7)
    assert found.shape == (count, count)
    assert found.data.dtype == np.float32


def test_more_neighbours_than_needed_change_nothing():
    features = clustered(60)
    near = knn(features, 40)[1]
    needed = jaccard_distance(features, near[:, : list_length(9, 3)], k1=9, k2=3, eps_max=0.7)
    found = jaccard_distance(features, near, k1=9, k2=3, eps_max=0.7)
    for one, other in zip(
        (needed.indptr, needed.indices, needed.data),
        (found.indptr, found.indices, found.data),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@given(
    count=st.integers(2, 60),
    k1=st.integers(1, 25),
    k2=st.integers(1, 8),
    noise=st.floats(0.05, 2),
    eps_max=st.floats(0.2, 0.95),
    seed=st.integers(0, 999),
)
@settings(max_examples=40, deadline=None)
def test_equals_the_dense_formula_anywhere(count, k1, k2, noise, eps_max, seed):
    assert_equals_literal(clustered(count, noise=noise, seed=seed), k1, k2, eps_max)


@pytest.mark.parametrize("eps", [0.3, 0.5, 0.69])
def test_dbscan_labels_are_those_of_the_dense_matrix(eps):
    features = clustered(250, clusters=12, noise=0.5)
    found, dense = assert_equals_literal(features, 20, 6, 0.7)
    expected = DBSCAN(eps=eps, min_samples=4, metric="precomputed").fit(dense.clip(0)).labels_
    assert expected.max() > 1
    assert np.array_equal(dbscan(found, eps, 4), expected)


def test_structure():
    found = jaccard_distance(clustered(150), neighbours(clustered(150), 30, 6))
    assert found.has_sorted_indices
    assert np.array_equal(found.diagonal(), np.zeros(150))
    assert np.diff(found.indptr).min() >= 1
    row = np.repeat(np.arange(150), np.diff(found.indptr))
    assert np.isin(np.arange(150) * 151, row * 150 + found.indices).all(), "diagonal is stored"
    transposed = found.T.tocsr()
    transposed.sort_indices()
    assert np.array_equal(transposed.indices, found.indices)
    assert np.array_equal(transposed.data, found.data)


def test_identical_rows():
    features = np.tile(clustered(1), (40, 1))
    found, _ = assert_equals_literal(features, 10, 3, 0.7)
    assert (found.data >= 0).all()


def test_threads_do_not_change_the_result(monkeypatch):
    monkeypatch.setattr("mprd.system.threads._LEAST_ROWS", 17)
    features = clustered(300)
    index = neighbours(features, 20, 6)
    one, many = (jaccard_distance(features, index, 20, 6, 0.7, threads=t) for t in (1, 5))
    for name in ("indptr", "indices", "data"):
        assert np.array_equal(getattr(one, name), getattr(many, name))


def test_buffers_grow():
    """One tight cluster: every row has far more entries than the buffers start with."""
    features = clustered(150, clusters=1, noise=0.01)
    assert_equals_literal(features, 120, 6, 0.9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k1": 0}, "at least 1"),
        ({"eps_max": 1.0}, "eps_max is 1.0"),
        ({"k1": 50}, "k1=50"),
        ({"index": np.zeros((3, 5), np.int32)}, "do not fit together"),
        ({"index": np.full((20, 10), 20)}, "rows that do not exist"),
    ],
)
def test_bad_arguments(change, message):
    features = clustered(20)
    arguments = {"index": neighbours(features, 10, 2), "k1": 10, "k2": 2} | change
    with pytest.raises(ValueError, match=message):
        jaccard_distance(features, **arguments)
