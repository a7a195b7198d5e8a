"""Ranks within cameras: searched by an inverted file, against all comparisons and by definition."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.clustering.tracks import TrackGroups
from mprd.gcn.camera_ranks import (
    LEVELS,
    approximate_profile,
    level_of,
    levels_above,
    own_profile,
)
from mprd.graph import knn


def scene(count, cameras, identities, seed=0, dim=16):
    """Unit rows with identities and cameras."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(identities, dim))[rng.integers(0, identities, count)]
    camera = rng.integers(0, cameras, count)
    x = x + 0.6 * rng.normal(size=(count, dim))
    x = torch.nn.functional.normalize(torch.from_numpy(x.astype(np.float32)), dim=1)
    camera = np.unique(camera, return_inverse=True)[1]
    return x, torch.from_numpy(camera)


def no_tracks(x):
    return TrackGroups.of_tracks(np.full(len(x), -1))


def literal_profile(x, camera, tracks):
    profile = np.full((len(x), int(camera.max()) + 1, len(LEVELS)), -2.0)
    cosine = (x.double() @ x.double().T).numpy()
    for i in range(len(x)):
        for c in range(profile.shape[1]):
            others = [
                j
                for j in range(len(x))
                if tracks.group[j] != tracks.group[i]
                and camera[j] == c
                and j == np.flatnonzero(tracks.group == tracks.group[j])[0]
            ]
            near = sorted((cosine[i, j] for j in others), reverse=True)
            for n, level in enumerate(LEVELS):
                if level <= len(near):
                    profile[i, c, n] = near[level - 1]
    return profile


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 90), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_both_are_the_definition_where_lists_are_few(count, cameras, tracked, seed):
    x, camera = scene(count, cameras, 5, seed)
    track = np.random.default_rng(seed).integers(-1, max(1, count // 3), count)
    tracks = TrackGroups.of_tracks(track) if tracked else no_tracks(x)
    expected = literal_profile(x, camera, tracks)
    np.testing.assert_allclose(own_profile(x, camera, tracks), expected, atol=1e-5)
    np.testing.assert_allclose(approximate_profile(x, camera, 0.9, tracks)[0], expected, atol=1e-5)


def test_frames_of_a_track_push_nobody_behind():
    x, camera = scene(300, 3, 30)
    frames = torch.arange(300).repeat_interleave(8)
    tracks = TrackGroups.of_tracks(frames.numpy())
    alone = own_profile(x, camera, no_tracks(x))
    np.testing.assert_allclose(own_profile(x[frames], camera[frames], tracks), alone[frames])


def test_with_full_recall_nothing_is_lost():
    x, camera = scene(4000, 3, 200)
    exact = own_profile(x, camera, no_tracks(x))
    found, share = approximate_profile(x, camera, 1.0, no_tracks(x))
    np.testing.assert_allclose(found, exact, atol=1e-5)
    assert share == 1


@pytest.mark.parametrize("recall", [0.8, 0.95])
def test_what_is_missed_moves_few_levels(recall):
    x, camera = scene(6000, 3, 100)
    exact = own_profile(x, camera, no_tracks(x))
    found, share = approximate_profile(x, camera, recall, no_tracks(x))
    assert recall <= share < 1
    assert (found <= exact + 1e-5).all()
    lost = (found < exact - 1e-5).float().mean()
    assert lost > 0, "else nothing was searched approximately"
    near = torch.from_numpy(knn(x.numpy(), 30)[1][:, 1:]).long()
    rows = torch.arange(len(x))[:, None].expand_as(near)
    cosine = (x[rows] * x[near]).sum(dim=-1)
    exact_level, level = (levels_above(p[rows, camera[near]], cosine) for p in (exact, found))
    assert (level <= exact_level).all()
    moved = (exact_level - level).mean()
    assert moved < 2 * (1 - recall), f"{moved:.3f} levels of {len(LEVELS)}"


def test_levels_of_ranks():
    assert [level_of(rank) for rank in (1, 2, 3, 5, 129)] == [0, 1, 2, 4, len(LEVELS)]
