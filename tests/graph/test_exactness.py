"""What the candidates-then-exact search promises beyond a plain product."""

import numpy as np
import pytest

from mprd.graph import knn


def unit(count, dim, seed=0):
    x = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_backends_blocks_and_threads_agree_bit_for_bit():
    features = unit(300, 64)
    expected = knn(features, 20, "faiss")
    for options in ({"memory": 9000}, {"threads": 1}, {"backend": "torch", "memory": 49_000}):
        found = knn(features, 20, **({"backend": "faiss"} | options))
        assert np.array_equal(found[0], expected[0])
        assert np.array_equal(found[1], expected[1])


@pytest.mark.parametrize("backend", ["faiss", "torch"])
def test_duplicates_of_real_valued_rows_tie_exactly(backend):
    """More copies than candidates, and similarities that no float32 product has exactly."""
    rng = np.random.default_rng(1)
    group = rng.permutation(np.repeat(np.arange(8), 25))
    base = unit(8, 129)
    similarity, index = knn(base[group], 30, backend)
    exact = (base.astype(np.float64) @ base.T.astype(np.float64))[group][:, group]
    np.fill_diagonal(exact, np.inf)
    assert np.array_equal(index, np.argsort(-exact, axis=1, kind="stable")[:, :30])
    assert (similarity[:, 1:25] == similarity[:, :1]).all()


def test_faiss_threads_are_put_back():
    import faiss

    before = faiss.omp_get_max_threads()
    knn(unit(10, 4), 3, "faiss", threads=before + 1)
    assert faiss.omp_get_max_threads() == before
