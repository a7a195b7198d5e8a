import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.retrieval.evaluation import evaluate
from mprd.retrieval.reranking import rerank
from tests.graph.test_jaccard import literal as dense_jaccard
from tests.graph.test_neighbors import literal as sorted_neighbors


def literal(similarity, q_ids, q_cams, g_ids, g_cams):
    """Sort each row, walk down the ranking."""
    results = []
    for i in range(len(q_ids)):
        kept = [
            g
            for g in range(len(g_ids))
            if not (g_ids[g] == q_ids[i] and g_cams[g] == q_cams[i] and q_cams[i] >= 0)
        ]
        ranking = sorted(kept, key=lambda g, i=i: (-similarity[i, g], g))
        ranks = [r for r, g in enumerate(ranking, 1) if g_ids[g] == q_ids[i]]
        if ranks:
            precision = sum((k + 1) / r for k, r in enumerate(ranks)) / len(ranks)
            results.append((precision, ranks[0], len(ranks) / ranks[-1], ranking))
        else:
            results.append((np.nan, 0, np.nan, ranking))
    return results


def problem(seed, queries, gallery, exact=True):
    rng = np.random.default_rng(seed)
    sides = []
    for count in (queries, gallery):
        # Signs of equal length: similarities are multiples of 1/4 and tie exactly.
        x = rng.choice([-1.0, 1.0], (count, 4)) if exact else rng.normal(size=(count, 4))
        sides.append(x.astype(np.float32))
    return (
        sides[0],
        rng.integers(0, 4, queries),
        rng.integers(-1, 3, queries),
        sides[1],
        rng.integers(-1, 4, gallery),
        rng.integers(-1, 3, gallery),
    )


@given(
    seed=st.integers(0, 99_999),
    queries=st.integers(1, 8),
    gallery=st.integers(1, 40),
    exact=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_equals_sorting(seed, queries, gallery, exact):
    q, q_ids, q_cams, g, g_ids, g_cams = case = problem(seed, queries, gallery, exact)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, g)]
    expected = literal(unit[0] @ unit[1].T, q_ids, q_cams, g_ids, g_cams)
    valid = [r for r in expected if r[1]]
    if not valid:
        with pytest.raises(ValueError, match="no query has a match"):
            evaluate(*case)
        return
    found = evaluate(*case, top=6)
    assert found.num_valid_queries == len(valid)
    assert np.allclose(found.average_precision, [r[0] for r in expected], equal_nan=True)
    assert found.first_hit_rank.tolist() == [r[1] for r in expected]
    assert np.allclose(found.inverse_negative_penalty, [r[2] for r in expected], equal_nan=True)
    assert found.map == pytest.approx(np.mean([r[0] for r in valid]))
    assert found.minp == pytest.approx(np.mean([r[2] for r in valid]))
    for rank in (1, 5, 10):
        assert found.cmc[rank] == pytest.approx(np.mean([r[1] <= rank for r in valid]))
    index, distance = found.top, found.top_distance
    for i, result in enumerate(expected):
        ranking = result[3][:6]
        assert index[i].tolist() == ranking + [-1] * (6 - len(ranking))
        assert np.isnan(distance[i, len(ranking) :]).all()
        similarity = unit[0][i] @ unit[1][ranking].T
        assert np.allclose(distance[i, : len(ranking)], 2 - 2 * similarity, atol=1e-5)


def test_blocks_and_threads_do_not_change_the_result(monkeypatch):
    case = problem(1, 90, 200, exact=False)
    whole = evaluate(*case)
    monkeypatch.setattr("mprd.retrieval.evaluation._CHUNK_BYTES", 4 * 200 * 7)
    monkeypatch.setattr("mprd.retrieval.evaluation._ROWS_PER_TASK", 3)
    parts = evaluate(*case)
    assert np.array_equal(whole.first_hit_rank, parts.first_hit_rank)
    assert np.allclose(whole.average_precision, parts.average_precision, equal_nan=True)


def test_distance_takes_the_place_of_features():
    case = problem(2, 10, 60, exact=False)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (case[0], case[3])]
    distance = 2 - 2 * unit[0] @ unit[1].T
    a, b = evaluate(*case), evaluate(*case, distance=distance)
    assert a.map == pytest.approx(b.map)
    found = evaluate(*case, distance=distance, top=3)
    index, values = found.top, found.top_distance
    kept = index >= 0
    row = np.repeat(np.arange(10)[:, None], 3, axis=1)
    assert np.allclose(values[kept], distance[row[kept], index[kept]], atol=1e-6)
    with pytest.raises(ValueError, match="distance is"):
        evaluate(*case, distance=distance[:, :5])


def test_scale_of_features_does_not_matter_and_zero_rows_are_allowed():
    case = list(problem(3, 6, 30, exact=False))
    before = evaluate(*case)
    case[0] = case[0] * 7
    case[3] = case[3] * np.linspace(1, 3, 30, dtype=np.float32)[:, None]
    assert evaluate(*case).map == pytest.approx(before.map)
    case[3][0] = 0
    assert np.isfinite(evaluate(*case).map)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (1, np.full(4, -1), "identity >= 0"),
        (1, np.zeros(3), r"query_cameras must be \(3,\)"),
        (4, np.zeros(3), r"gallery_cameras must be \(3,\)"),
        (0, np.zeros((3, 4)), "do not fit"),
        (3, np.zeros((9, 5)), "do not fit"),
        (0, np.zeros(4), r"must be \(N, D\)"),
    ],
)
def test_bad_arguments(position, value, message):
    case = list(problem(4, 4, 9))
    case[position] = value
    with pytest.raises(ValueError, match=message):
        evaluate(*case)


def literal_rerank(query, gallery, k1, k2, weight):
    x = np.concatenate([query, gallery])
    index = sorted_neighbors(x, min(len(x), max(k1, k2, round(k1 / 2) + 1)))
    jaccard = dense_jaccard(x, index, k1, k2)[: len(query), len(query) :]
    return (1 - weight) * jaccard + weight * (2 - 2 * query @ gallery.T) / 4


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (6, 1, 0.0), (8, 3, 1.0)])
def test_rerank_equals_the_dense_formula(k1, k2, weight):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 8))[rng.integers(0, 6, 60)] + 0.5 * rng.normal(size=(60, 8))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    found = rerank(x[:10], x[10:], k1, k2, weight)
    assert np.allclose(found, literal_rerank(x[:10], x[10:], k1, k2, weight), atol=1e-5)
    with pytest.raises(ValueError, match="weight is 2"):
        rerank(x[:10], x[10:], weight=2)
    for query, gallery in ((x[:10], x[10:, 1:]), (x[:10, 1:], x[10:])):
        with pytest.raises(ValueError, match="differ in width"):
            rerank(query, gallery)


@given(seed=st.integers(0, 999), reranked=st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_correction_is_added_to_similarities(seed, reranked):
    case = problem(seed, 40, 30, exact=False)
    case[1][0], case[4][0], case[2][0] = 0, 0, -1  # one query has a match
    change = np.random.default_rng(seed).normal(size=(40, 30)).astype(np.float32)
    distance = change[::-1].copy() if reranked else None
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (case[0], case[3])]
    plain = unit[0] @ unit[1].T if distance is None else -distance
    expected = evaluate(*case, distance=-(plain + change), top=3)
    found = evaluate(*case, distance=distance, correction=lambda block: change[block], top=3)
    np.testing.assert_array_equal(found.first_hit_rank, expected.first_hit_rank)
    np.testing.assert_array_equal(found.top, expected.top)
    assert found.map == pytest.approx(expected.map)
