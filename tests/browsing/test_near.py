"""The nearest clusters of outliers and of clusters, against the definition."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mprd.browsing.near import near_clusters
from mprd.clustering.tracks import TrackGroups


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(-1, 4), st.booleans())
def test_the_nearest_clusters(seed, count, highest, shared):
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
    found = near_clusters(csr_array(near), labels, tracks, 3, apart, np.arange(count))
    clusters = int(labels.max(initial=-1)) + 1
    foes = {frozenset((int(a), int(b))) for a, b in apart}

    def expected(rows, itself):
        values = []
        for k in range(clusters):
            there = np.flatnonzero(labels == k)
            value = near[tracks.group[rows]][:, tracks.group[there]].mean()
            if len(rows) == 1 and labels[rows[0]] == k:
                g = tracks.group[rows[0]]
                value = value * len(there) - near[g, g] * tracks.sizes[g]
                value /= max(len(there) - 1, 1)
            hostile = any(frozenset((int(i), int(j))) in foes for i in rows for j in there)
            if k != itself and value > 1e-9 and not hostile:
                values.append((k, value))
        return sorted(values, key=lambda one: (-round(one[1], 9), one[0]))[:3]

    cases = [(found.of_clusters[k], np.flatnonzero(labels == k), k) for k in range(clusters)]
    assert sorted(found.of_images) == list(range(count))
    cases += [(found.of_images[row], np.array([row]), -1) for row in range(count)]
    for one, rows, itself in cases:
        want = expected(rows, itself)
        np.testing.assert_allclose([v for _, v in one], [v for _, v in want], atol=1e-9)
        assert len({k for k, _ in one}) == len(one)
