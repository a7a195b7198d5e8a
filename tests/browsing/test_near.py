"""The nearest clusters of outliers and of clusters, against the definition."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mprd.browsing.looks import Looks
from mprd.browsing.near import near_clusters
from mprd.clustering.tracks import TrackGroups
from mprd.system.checks import unit_rows


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 12),
    st.integers(-1, 4),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_the_nearest_clusters(seed, count, highest, shared, seen, sided):
    rng = np.random.default_rng(seed)
    tracks = TrackGroups.of_tracks(rng.integers(0, count, count) if shared else np.full(count, -1))
    groups = len(tracks.first)
    near = rng.random((groups, groups)) * (rng.random((groups, groups)) < 0.5)
    near = np.maximum(near, near.T)
    np.fill_diagonal(near, 0)
    own = rng.integers(-1, highest + 1, groups)
    _, own = np.unique(np.append(own, -1), return_inverse=True)
    labels = (own[:-1] - 1)[tracks.group]
    apart = rng.integers(0, count, (rng.integers(0, 4), 2))
    within = rng.random(groups)
    np.fill_diagonal(near, within)
    features = unit_rows(rng.normal(size=(count, 3)).astype(np.float32))
    sides = rng.integers(-1, 3, count) if sided else np.full(count, -1)
    two = (sides[:, None] >= 0) & (sides >= 0) & (sides[:, None] != sides)
    cosine = np.where(two, 0, features @ features.T) * seen
    every = np.arange(count)
    looks = Looks.of(features, sides) if seen else None
    given = csr_array(near), looks, labels, tracks, apart, every
    found = near_clusters(*given, of_cluster=3, of_image=2)
    clusters = int(labels.max(initial=-1)) + 1
    foes = {frozenset((int(a), int(b))) for a, b in apart}

    def expected(rows, itself, most):
        values, mine = [], -1
        for k in range(clusters):
            there = np.flatnonzero(labels == k)
            pairs = len(rows) * len(there)
            value = near[tracks.group[rows]][:, tracks.group[there]].sum()
            value += cosine[rows][:, there].sum()
            if itself < 0 and labels[rows[0]] == k:
                mine, g = k, tracks.group[rows[0]]
                value -= near[g, g] * tracks.sizes[g] + cosine[rows[0], rows[0]]
                pairs = max(pairs - 1, 1)
            value /= 2 * pairs
            hostile = any(frozenset((int(i), int(j))) in foes for i in rows for j in there)
            if k != itself:
                values.append((k, -1 if hostile else value))
        values.sort(key=lambda one: -one[1])
        chosen = values[:most]
        if mine >= 0 and mine not in dict(chosen):
            chosen[-1] = next(one for one in values if one[0] == mine)
        return [(k, v) for k, v in chosen if v > 1e-6 or k == mine]

    cases = [(found.of_clusters[k], np.flatnonzero(labels == k), k, 3) for k in range(clusters)]
    assert sorted(found.of_images) == list(range(count))
    cases += [(found.of_images[row], np.array([row]), -1, 2) for row in range(count)]
    for one, rows, itself, most in cases:
        want = expected(rows, itself, most)
        certain = [v for k, v in one if v > 1e-6 or (itself < 0 and k == labels[rows[0]])]
        np.testing.assert_allclose(certain, [v for _, v in want], atol=1e-5)
        assert len({k for k, _ in one}) == len(one)


def test_a_cluster_without_a_common_neighbour_is_found():
    """One image of a person in other light shares no neighbour with the others of this person."""
    looks = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [0.8, 0.6]], np.float32)
    near = np.zeros((5, 5))
    near[0, 1] = near[1, 0] = near[2, 3] = near[3, 2] = 0.9
    labels = np.array([0, 0, 1, 1, 2])
    tracks = TrackGroups.of_tracks(np.full(5, -1))
    given = labels, tracks, np.zeros((0, 2), np.int64), np.array([4])
    most = {"of_cluster": 5, "of_image": 3}
    blind = near_clusters(csr_array(near), None, *given, **most)
    assert blind.of_clusters == [[], [], []]
    seen = Looks.of(unit_rows(looks), np.full(5, -1))
    found = near_clusters(csr_array(near), seen, *given, **most)
    assert found.of_clusters[0][0][0] == 2
    assert found.of_clusters[2][0][0] == 0
    apart = near_clusters(
        csr_array(near), seen, labels, tracks, np.array([[4, 1]]), given[3], **most
    )
    assert apart.of_clusters[2][0][0] == 1
    assert 0 not in dict(apart.of_images[4])
