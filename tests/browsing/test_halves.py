"""A cluster in two: along the stored tree, and by the distances where no tree is stored."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS
from mprd.artifacts.artifact import Artifact
from mprd.browsing.halves import halves
from mprd.clustering.linkage import linkage_tree
from mprd.clustering.stored_tree import tree_arrays
from mprd.clustering.tracks import TrackGroups


def fake(distance, tracks, *, stored):
    """A run with these distances of tracks, with or without a stored tree."""
    arrays = {}
    if stored:
        tree = linkage_tree(distance)
        groups = tracks.group
        arrays = tree_arrays(type(tree)(tree.merges, tree.heights, groups))
    clusters = Artifact("clusters.h5", CLUSTERS, arrays, {}, "", {})
    return SimpleNamespace(clusters=clusters, tracks=tracks, distance=distance)


def distances(seed, count):
    rng = np.random.default_rng(seed)
    near = rng.random((count, count)) * (rng.random((count, count)) < 0.7)
    near = np.maximum(near, near.T)
    np.fill_diagonal(near, 0)
    return csr_array(near)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.booleans())
def test_the_halves_are_the_last_merge(seed, count, stored):
    rng = np.random.default_rng(seed)
    tracks = TrackGroups.of_tracks(rng.integers(0, count, 2 * count))
    distance = distances(seed, len(tracks.first))
    run = fake(distance, tracks, stored=stored)
    found = halves(run, np.arange(2 * count))
    if len(tracks.first) < 2:
        assert found is None
        return
    one, other = found
    assert len(one) >= len(other) > 0
    assert sorted([*one, *other]) == list(range(2 * count))
    assert not set(tracks.group[one]) & set(tracks.group[other]), "tracks stay together"
    tree = linkage_tree(distance)
    if len(tree.merges) == len(tracks.first) - 1:
        parts = tree.cut(np.nextafter(tree.heights[-1], 0))
        if len(np.unique(parts)) == 2:  # no tie
            assert len(np.unique(parts[np.unique(tracks.group[one])])) == 1


def test_a_merge_by_hand_comes_apart_again():
    """Two clusters of a tree that a person merged: the tree joins them last, if at all."""
    near = np.ones((6, 6))
    near[:3, :3] = near[3:, 3:] = 0.2
    np.fill_diagonal(near, 0)
    near[near == 1] = 0
    tracks = TrackGroups.of_tracks(np.full(6, -1))
    for stored in (True, False):
        one, other = halves(fake(csr_array(near), tracks, stored=stored), np.arange(6))
        assert {tuple(one), tuple(other)} == {(0, 1, 2), (3, 4, 5)}
