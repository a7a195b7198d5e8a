"""Evidence of any two images: as for training pairs, symmetric, and 0 where nothing is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mprd
from mprd.artifacts import INDEX, Artifact
from mprd.data.index import trained_cameras
from mprd.evidence.time_bins import pair_cells
from mprd.evidence.transitions import learn_transitions
from tests.evidence.test_transitions import walkers

TIMES = st.one_of(st.floats(-30_000, 30_000), st.just(float("nan")))
CAMERAS = st.integers(-2, 6)


@pytest.fixture(scope="module")
def walk():
    times, camera, who, distance = walkers(people=60)
    return times, camera, who, learn_transitions(times, camera, distance)


@given(TIMES, CAMERAS, TIMES, CAMERAS)
def test_it_does_not_matter_which_is_the_query(walk, time, camera, other_time, other_camera):
    one = np.array(time), np.array(camera)
    other = np.array(other_time), np.array(other_camera)
    there, back = (mprd.time_evidence(walk[3], *a, *b) for a, b in ((one, other), (other, one)))
    assert there == back
    assert np.isfinite(there)
    unknown = np.isnan(time + other_time) or min(camera, other_camera) < 0
    if unknown or max(camera, other_camera) > 3:
        assert there == 0


def test_pairs_of_the_training_have_their_log_ratio(walk):
    times, cameras, who, found = walk
    rows, columns = np.triu_indices(len(times), 1)
    evidence = mprd.time_evidence(found, times[:, None], cameras[:, None], times, cameras)
    assert evidence.shape == (len(times),) * 2
    assert evidence.dtype == np.float32
    np.testing.assert_array_equal(evidence, evidence.T)
    cells = pair_cells(times, cameras, rows, columns, found.edges)
    np.testing.assert_array_equal(evidence[rows, columns], found.log_ratio.ravel()[cells])
    same = who[rows] == who[columns]
    assert evidence[rows, columns][same].mean() > 1 > 0 > evidence[rows, columns][~same].mean()


def test_times_further_apart_than_any_in_the_training_say_nothing(walk):
    times, _, _, found = walk
    span, cameras = np.ptp(times), np.array([0, 1])
    within = mprd.time_evidence(found, np.zeros(2), cameras, np.array(0.99 * span), np.array(1))
    assert (within != 0).all()
    beyond = mprd.time_evidence(found, np.zeros(2), cameras, np.array(1.01 * span), np.array(1))
    assert (beyond == 0).all()


def test_times_that_carry_nothing_say_nothing(walk):
    times, cameras, _, found = walk
    silent = replace(found, gain=0.0)
    assert not mprd.time_evidence(silent, times, cameras, times[::-1], cameras[::-1]).any()
    unknown = np.full(len(times), np.nan)
    none = learn_transitions(unknown, cameras, walkers(people=60)[3])
    assert not mprd.time_evidence(none, times, cameras, times[::-1], cameras[::-1]).any()


def test_a_camera_without_training_images_is_unknown():
    """Its number may be what stands for unknown cameras in the transitions."""
    arrays = {"split": np.array([0, 0, 0, 1, 2]), "camera": np.array([0, 1, -1, 2, 0])}
    index = Artifact(Path("index.h5"), INDEX, arrays, {}, "", {})
    assert trained_cameras(index, arrays["camera"]).tolist() == [0, 1, -1, -1, 0]
