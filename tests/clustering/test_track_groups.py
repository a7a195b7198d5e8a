"""Images of a track share one place in the graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mprd.clustering.health import cluster_health, silhouette
from mprd.clustering.membership import membership
from mprd.clustering.tracks import TrackGroups


@pytest.mark.parametrize(
    ("tracks", "group", "first"),
    [
        ([-1, -1, -1], [0, 1, 2], [0, 1, 2]),
        ([7, -1, 7, 2, 2], [0, 1, 0, 2, 2], [0, 1, 3]),
        ([3, 3, 3], [0, 0, 0], [0]),
        ([2, 1, 0, 1], [0, 1, 2, 1], [0, 1, 2]),
        ([], [], []),
    ],
)
def test_groups_by_hand(tracks, group, first):
    found = TrackGroups.of_tracks(np.array(tracks, np.int32))
    assert found.group.tolist() == group
    assert found.first.tolist() == first
    assert found.shared == (len(first) < len(group))
    assert found.sizes.tolist() == [group.count(g) for g in range(len(first))]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=20), st.integers(0, 9))
def test_means_are_those_of_each_group(tracks, seed):
    features = np.random.default_rng(seed).normal(size=(len(tracks), 5)).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    groups = TrackGroups.of_tracks(np.array(tracks))
    for g, mean in enumerate(groups.means(features)):
        literal = features[groups.group == g].mean(axis=0)
        np.testing.assert_allclose(mean, literal / np.linalg.norm(literal), atol=1e-5)


def test_the_mean_of_opposite_features_is_the_first():
    features = np.array([[1, 0], [-1, 0]], np.float32)
    assert TrackGroups.of_tracks(np.array([0, 0])).means(features).tolist() == [[1, 0]]


def sparse(count, seed):
    rng = np.random.default_rng(seed)
    dense = np.triu(rng.uniform(0.05, 1, (count, count)) * (rng.random((count, count)) < 0.5), 1)
    return csr_array((dense + dense.T).astype(np.float32))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=8), st.integers(0, 99))
def test_a_row_that_stands_for_images_counts_as_they_would(sizes, seed):
    """Membership, silhouette and health of groups are those of all their images at distance 0."""
    sizes, rng = np.array(sizes), np.random.default_rng(seed)
    distance, count = sparse(len(sizes), seed), len(sizes)
    labels, cameras = rng.integers(-1, 3, count), rng.integers(0, 2, count)
    labels = np.unique(labels, return_inverse=True)[1] - (labels.min() < 0)
    group = np.repeat(np.arange(count), sizes)
    dense = np.where(distance.toarray() > 0, distance.toarray(), 1)
    np.fill_diagonal(dense, 0)
    whole = dense[np.ix_(group, group)]
    rows, columns = np.nonzero(whole < 1)
    every = csr_array((whole[rows, columns], (rows, columns)), shape=whole.shape)
    expected = membership(every, labels[group])
    np.testing.assert_allclose(membership(distance, labels, sizes)[group], expected, atol=1e-6)
    np.testing.assert_allclose(
        silhouette(distance, labels, sizes)[group], silhouette(every, labels[group]), atol=1e-5
    )
    alone = np.arange(count)[:, None]
    found = cluster_health(distance, labels, alone, cameras, sizes)
    literal = cluster_health(every, labels[group], np.arange(len(group))[:, None], cameras[group])
    for name in ("cohesion", "silhouette", "outliers", "largest", "single_camera"):
        assert getattr(found, name) == pytest.approx(getattr(literal, name), abs=1e-5, nan_ok=True)


def test_pairs_and_lists_name_first_images():
    groups = TrackGroups.of_tracks(np.array([5, 5, -1, 6, 6, 6]))
    lists, similar = groups.lists(
        np.array([[0, 2], [1, 0], [2, 1]], np.int32),
        np.array([[1, 0.5], [1, 0.4], [1, 0.3]], np.float32),
    )
    assert lists.tolist() == [[0, 3], [1, 3], [2, 0], [3, 2], [4, 2], [5, 2]]
    np.testing.assert_allclose(similar[:, 1], [0.5, 0.5, 0.4, 0.3, 0.3, 0.3])
    stored = csr_array(np.array([[0, 0.2, 0], [0.2, 0, 0.7], [0, 0.7, 0]], np.float32))
    indptr, indices = groups.pairs(stored.indptr, stored.indices)
    assert indptr.tolist() == [0, 1, 1, 3, 4, 4, 4]
    assert indices.tolist() == [2, 0, 3, 2]
    whole = csr_array((stored.data, indices, indptr), shape=(6, 6))
    np.testing.assert_array_equal(groups.between(whole).toarray(), stored.toarray())
