"""Clusters judged without identities: against literal references, and against the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.metrics import silhouette_samples

import mprd
from mprd.clustering.agreement import pair_quality
from mprd.clustering.health import (
    cluster_health,
    silhouette,
    single_camera_share,
    stability,
)


def sparse(dense: np.ndarray) -> csr_array:
    """Store what is below 1, and the diagonal, as the graph does."""
    row, column = np.nonzero((dense < 1) | np.eye(len(dense), dtype=bool))
    return csr_array((dense[row, column], (row, column)), shape=dense.shape)


@st.composite
def clusterings(draw):
    count = draw(st.integers(2, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dense = rng.uniform(0.05, 1, (count, count)).astype(np.float32)
    dense[rng.random((count, count)) < draw(st.floats(0, 0.9))] = 1
    dense = np.minimum(dense, dense.T)
    np.fill_diagonal(dense, 0)
    raw = rng.integers(-1, draw(st.integers(1, 5)), count)
    labels = np.full(count, -1)
    labels[raw >= 0] = np.unique(raw[raw >= 0], return_inverse=True)[1]
    return dense, labels


@given(clusterings())
def test_silhouette_is_that_of_the_dense_distances(case):
    dense, labels = case
    inside = labels >= 0
    got = silhouette(sparse(dense), labels)
    assert (got[~inside] == 0).all()
    if 2 <= len(np.unique(labels[inside])) < inside.sum():
        kept = dense[np.ix_(inside, inside)].astype(np.float64)
        expected = silhouette_samples(kept, labels[inside], metric="precomputed")
        np.testing.assert_allclose(got[inside], expected, atol=1e-6)


def test_no_cluster_at_all():
    dense = np.ones((3, 3)) - np.eye(3)
    nobody = np.full(3, -1)
    health = cluster_health(sparse(dense), nobody, np.array([[0, 1], [1, 0], [2, 0]]), nobody)
    assert health.score == health.found == health.cohesion == health.largest == 0
    assert health.outliers == 1
    assert np.isnan(health.silhouette)
    assert np.isnan(health.single_camera)


def test_clusters_of_one_camera():
    labels = np.array([0, 0, 1, 1, 2, 2, -1])
    cameras = np.array([0, 0, 0, 1, 1, -1, 0])
    assert single_camera_share(labels, cameras) == pytest.approx(2 / 3)
    assert np.isnan(single_camera_share(labels, np.zeros(7, int)))
    assert np.isnan(single_camera_share(np.full(7, -1), cameras))


def test_stability_counts_pairs():
    before = np.array([0, 0, 0, 1, 1, -1])
    after = np.array([0, 0, -1, 1, 1, 1])  # 2 of 4 pairs stay, of now 4
    assert stability(after, before) == pytest.approx(0.5)
    assert stability(before, before) == 1
    renumbered = np.array([1, 1, 1, 0, 0, -1])
    assert stability(renumbered, before) == 1


@pytest.fixture(scope="module")
def crops():
    """250 noisy embeddings of 22 identities in 4 cameras, and their graph."""
    rng = np.random.default_rng(7)
    identities = rng.integers(0, 22, 250)
    cameras = rng.integers(0, 4, 250)
    centers = rng.normal(size=(22, 32))
    features = centers[identities] + rng.normal(scale=0.75, size=(250, 32))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    _, neighbors = mprd.knn(features, 20)
    return identities, cameras, neighbors, mprd.jaccard_distance(features, neighbors, k1=20, k2=4)


def test_health_ranks_two_runs_as_the_truth_does(crops):
    """The better run has more outliers and is less pure at a glance, as it happened to a user."""
    identities, cameras, neighbors, distance = crops
    rng = np.random.default_rng(1)
    better = identities // 4  # whole people, but four of them together
    better = np.where(rng.random(250) < 0.05, -1, better)
    worse = (identities % 5) * 2 + rng.integers(0, 2, 250)  # halves of people, mixed, no outlier
    quality = [pair_quality(labels, identities) for labels in (better, worse)]
    assert quality[0].f1 > quality[1].f1 + 0.09
    good, bad = (cluster_health(distance, lab, neighbors, cameras) for lab in (better, worse))
    assert good.outliers > bad.outliers
    assert good.score > 1.2 * bad.score


def test_health_is_highest_at_the_truth(crops):
    identities, cameras, neighbors, distance = crops
    truth = cluster_health(distance, identities, neighbors, cameras).score
    split = identities * 2 + np.arange(250) % 2
    joined = identities // 2
    for wrong in (split, joined):
        assert cluster_health(distance, wrong, neighbors, cameras).score < truth
