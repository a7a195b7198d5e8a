import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.graph import knn

BACKENDS = ["faiss", "torch"]


def unit(count, dim, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def literal(features, k):
    """Sort every row in full: itself, then by similarity, then by row."""
    index = np.empty((len(features), k), np.int32)
    for i in range(len(features)):
        similarity = features @ features[i]
        others = [j for j in range(len(features)) if j != i]
        index[i] = [i, *sorted(others, key=lambda j: (-similarity[j], j))][:k]
    return index


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("count", "k"), [(1, 1), (2, 1), (2, 2), (5, 5), (60, 1), (60, 10)])
def test_equals_sorting(backend, count, k):
    features = unit(count, 16)
    similarity, index = knn(features, k, backend)
    assert similarity.dtype == np.float32
    assert index.dtype == np.int32
    assert np.array_equal(index, literal(features, k))
    expected = np.take_along_axis(features @ features.T, index.astype(np.int64), axis=1)
    assert np.allclose(similarity, expected, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@given(
    rows=st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=25),
    k=st.integers(1, 8),
)
@settings(max_examples=60, deadline=None)
def test_exact_ties_and_duplicates_are_stable(backend, rows, k):
    """Small integers: similarities are exact, so ties are ties on every backend."""
    features = np.array(rows, np.float32)
    k = min(k, len(features))
    assert np.array_equal(knn(features, k, backend)[1], literal(features, k))


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_duplicates_keep_self_first(backend):
    features = np.repeat(unit(3, 8), 20, axis=0)
    _, index = knn(features, 5, backend)
    assert np.array_equal(index[:, 0], np.arange(60))
    assert np.array_equal(index[25], [25, 20, 21, 22, 23])


@pytest.mark.parametrize("backend", BACKENDS)
def test_blocks_do_not_change_the_result(backend):
    features = unit(50, 8)
    assert np.array_equal(knn(features, 7, backend)[1], knn(features, 7, backend, memory=600)[1])


def test_memory_must_be_positive():
    with pytest.raises(ValueError, match="memory is 0 bytes"):
        knn(unit(3, 2), 2, memory=0)


@pytest.mark.parametrize(
    ("features", "k", "backend", "message"),
    [
        (unit(3, 2), 4, "faiss", "k is 4"),
        (unit(3, 2), 0, "faiss", "k is 0"),
        (unit(3, 2)[0], 1, "faiss", r"must be \(N, D\)"),
        (np.full((2, 2), np.nan), 1, "faiss", "NaN"),
        (unit(3, 2), 1, "annoy", "unknown backend 'annoy'"),
    ],
)
def test_bad_arguments(features, k, backend, message):
    with pytest.raises(ValueError, match=message):
        knn(features, k, backend)
