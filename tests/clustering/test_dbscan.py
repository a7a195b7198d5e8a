import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from mprd.clustering.agreement import pair_quality
from mprd.clustering.dbscan import dbscan


def random_graph(count, density, seed):
    """Symmetric sparse distances with an explicit zero diagonal."""
    rng = np.random.default_rng(seed)
    rows, columns, data = list(range(count)), list(range(count)), [0.0] * count
    for i in range(count):
        for j in range(i):
            if rng.random() < density:
                value = round(float(rng.random()), 2)
                rows += [i, j]
                columns += [j, i]
                data += [value, value]
    order = np.lexsort((columns, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))])
    return csr_array(
        (np.array(data, np.float32)[order], np.array(columns)[order], indptr), (count, count)
    )


@given(
    count=st.integers(1, 40),
    density=st.floats(0, 0.4),
    eps=st.floats(0.05, 0.9),
    min_samples=st.integers(1, 6),
    seed=st.integers(0, 9999),
)
@settings(max_examples=150, deadline=None)
def test_equals_scikit_learn(count, density, eps, min_samples, seed):
    distance = random_graph(count, density, seed)
    expected = DBSCAN(eps=eps, min_samples=min_samples, metric="precomputed").fit(distance).labels_
    found = dbscan(distance, eps, min_samples)
    assert found.dtype == np.int32
    assert np.array_equal(found, expected)


def test_border_joins_the_lowest_cluster():
    """Image 0 is no core image and lies between two clusters."""
    near = [(1, 2), (1, 3), (2, 3), (4, 5), (4, 6), (5, 6), (0, 1), (0, 4)]
    dense = np.ones((7, 7), np.float32)
    for i, j in near:
        dense[i, j] = dense[j, i] = 0.1
    np.fill_diagonal(dense, 0)
    labels = dbscan(csr_array(np.where(dense < 1, dense + 1e-9, 0)), 0.5, 4)
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_not_square():
    with pytest.raises(ValueError, match="square"):
        dbscan(csr_array((2, 3)), 0.5)


def literal_pairs(labels, identities):
    right = together = same = 0
    for i in range(len(labels)):
        for j in range(i):
            if min(identities[i], identities[j]) < 0:
                continue
            one_cluster = labels[i] == labels[j] >= 0
            one_identity = identities[i] == identities[j]
            right += one_cluster and one_identity
            together += one_cluster
            same += one_identity
    return right / together if together else 0, right / same if same else 0


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(-1, 4), min_size=n, max_size=n),
            st.lists(st.integers(-1, 4), min_size=n, max_size=n),
        )
    )
)
@settings(max_examples=100, deadline=None)
def test_pair_quality_equals_counting_pairs(case):
    labels, identities = map(np.array, case)
    if (identities < 0).all():
        with pytest.raises(ValueError, match="no identity is known"):
            pair_quality(labels, identities)
        return
    found = pair_quality(labels, identities)
    known = identities >= 0
    alone = np.where(labels < 0, labels.max() + 1 + np.arange(len(labels)), labels)[known]
    assert found.nmi == pytest.approx(
        normalized_mutual_info_score(identities[known], alone), abs=1e-12
    )
    assert found.ari == pytest.approx(adjusted_rand_score(identities[known], alone), abs=1e-12)
    assert (found.precision, found.recall) == pytest.approx(literal_pairs(labels, identities))
    if found.precision + found.recall:
        expected = 2 * found.precision * found.recall / (found.precision + found.recall)
        assert found.f1 == pytest.approx(expected)


def test_perfect_and_useless_clusterings():
    identities = np.repeat(np.arange(5), 4)
    perfect = pair_quality(identities, identities)
    assert (perfect.nmi, perfect.ari, perfect.f1) == pytest.approx((1, 1, 1))
    apart = pair_quality(np.full(20, -1), identities)
    assert (apart.precision, apart.recall, apart.f1) == (0, 0, 0)
    with pytest.raises(ValueError, match=r"identities must be \(2,\)"):
        pair_quality(np.zeros(2), np.zeros(3))


@given(
    st.lists(
        st.tuples(st.integers(-1, 3), st.integers(-1, 3), st.integers(-1, 2)),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_recall_across_cameras_equals_counting_pairs(images):
    labels, identities, cameras = np.array([*images, (0, 0, 0)]).T
    pairs = [
        (i, j)
        for i in range(len(labels))
        for j in range(i)
        if identities[i] == identities[j] >= 0
        and min(cameras[i], cameras[j]) >= 0
        and cameras[i] != cameras[j]
    ]
    found = pair_quality(labels, identities, cameras).cross_recall
    if not pairs:
        assert np.isnan(found)
        return
    together = sum(labels[i] == labels[j] >= 0 for i, j in pairs)
    assert found == pytest.approx(together / len(pairs))
    assert np.isnan(pair_quality(labels, identities).cross_recall)
