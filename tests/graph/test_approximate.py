"""The inverted file against the exact search."""

import threading

import numpy as np
import pytest

from mprd.graph import approximate_knn, jaccard_distance, knn
from mprd.graph.inverted_file import InvertedFile
from mprd.graph.refine import Refiner


def clustered(count, dim=16, clusters=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(clusters, dim))[rng.integers(0, clusters, count)]
    x = (x + 0.5 * rng.normal(size=(count, dim))).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def recall(found, expected):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, expected, strict=True)])


@pytest.mark.parametrize("wanted", [0.5, 0.95, 1.0])
def test_reaches_the_recall_it_reports(wanted):
    features = clustered(3000)
    similarity, index, reported = approximate_knn(features, 20, min_recall=wanted)
    exact_similarity, exact = knn(features, 20)
    assert reported >= wanted
    # Rows whose lists hold too few are searched in full, so the truth may be better.
    assert recall(index, exact) >= reported - 0.02
    same = index == exact
    assert np.array_equal(similarity[same], exact_similarity[same])


def test_a_low_recall_costs_less_and_finds_less():
    """Else the setting would do nothing."""
    features = clustered(3000)
    low, high = (approximate_knn(features, 20, min_recall=r)[2] for r in (0.3, 0.999))
    assert low < high


def test_rows_are_ordered_as_the_exact_search_orders_them():
    features = clustered(2000)
    similarity, index, _ = approximate_knn(features, 15)
    assert np.array_equal(index[:, 0], np.arange(2000))
    assert (np.diff(similarity[:, 1:], axis=1) <= 0).all()
    assert all(len(set(row)) == 15 for row in index.tolist())
    assert similarity.dtype == np.float32
    assert index.dtype == np.int32


@pytest.mark.parametrize("count", [1, 2, 30, 100])
def test_small_sets_are_searched_in_full(count):
    """Too few rows for lists, or lists that hold fewer than k rows."""
    features = clustered(count)
    k = min(count, 10)
    similarity, index, found = approximate_knn(features, k, min_recall=1.0)
    assert found == 1.0
    assert np.array_equal(index, knn(features, k)[1])
    assert np.array_equal(similarity, knn(features, k)[0])


def test_lists_with_fewer_rows_than_neighbours(monkeypatch):
    features = clustered(400, clusters=4)
    full = []
    search = Refiner._search
    monkeypatch.setattr(Refiner, "_search", lambda s, rows: full.extend(rows) or search(s, rows))
    _, index, _ = approximate_knn(features, 150, min_recall=0.01)
    assert 0 < len(full) <= 400
    assert np.array_equal(index[full], knn(features, 150)[1][full])
    assert index.min() >= 0
    assert all(len(set(row)) == 150 for row in index.tolist())


def test_duplicates_keep_self_first():
    """More copies than candidates: faiss need not return the row itself."""
    features = np.repeat(clustered(10), 50, axis=0)
    _, index, found = approximate_knn(features, 5)
    assert found == 1.0
    assert np.array_equal(index[:, 0], np.arange(500))
    assert (index // 50 == np.arange(500)[:, None] // 50).all()


def test_the_same_again_and_usable_for_the_graph():
    features = clustered(2000)
    first, second = (approximate_knn(features, 30, threads=2) for _ in range(2))
    assert np.array_equal(first[1], second[1])
    assert first[2] == second[2]
    assert jaccard_distance(features, first[1]).nnz > 2000


def test_workers_search_with_one_thread_each(monkeypatch):
    """Else n workers would start n threads each."""
    import faiss

    seen = []
    nearest = InvertedFile._nearest

    def watched(*args):
        if threading.current_thread() is not threading.main_thread():
            seen.append(faiss.omp_get_max_threads())
        return nearest(*args)

    monkeypatch.setattr(InvertedFile, "_nearest", watched)
    approximate_knn(clustered(2000), 10, threads=3)
    assert len(seen) > 3
    assert set(seen) == {1}


@pytest.mark.parametrize(
    ("k", "wanted", "message"),
    [(4, 0.9, "k is 4"), (0, 0.9, "k is 0"), (2, 0, "min_recall is 0"), (2, 1.5, "is 1.5")],
)
def test_bad_arguments(k, wanted, message):
    with pytest.raises(ValueError, match=message):
        approximate_knn(clustered(3), k, min_recall=wanted)
