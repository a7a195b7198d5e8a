"""Features around the means of their cameras."""

import numpy as np
import pytest

from mprd.graph import CameraStatistics, center_cameras, standardize_cameras


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_each_camera_loses_its_own_mean():
    rng = np.random.default_rng(0)
    features, cameras = unit(rng.normal(size=(40, 7)) + 1), rng.integers(-1, 3, 40)
    found = center_cameras(features, cameras)
    assert found.dtype == np.float32
    for row, camera in enumerate(cameras.tolist()):
        expected = features[row] - features[cameras == camera].mean(axis=0)
        np.testing.assert_allclose(found[row], expected / np.linalg.norm(expected), atol=1e-5)


def test_what_a_camera_adds_to_all_its_images_goes_away():
    rng = np.random.default_rng(1)
    who = rng.normal(size=(30, 8))
    seen = np.concatenate([who + 3 * rng.normal(size=8), who + 3 * rng.normal(size=8)])
    cameras = np.repeat([0, 1], 30)
    plain, centred = unit(seen), center_cameras(unit(seen), cameras)

    def first_hits(features):
        return ((features[:30] @ features[30:].T).argmax(axis=1) == np.arange(30)).mean()

    assert first_hits(plain) < 0.4
    assert first_hits(centred) > 0.8


def test_the_only_image_of_a_camera_stays():
    features = unit(np.array([[1.0, 2.0], [2.0, 1.0], [1.0, 0.0]]))
    found = center_cameras(features, np.array([0, 0, 5]))
    np.testing.assert_array_equal(found[2], features[2])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    found = standardize_cameras(features, np.array([0, 0, 5]))
    np.testing.assert_array_equal(found[2], features[2])


def test_standardized_dimensions_weigh_alike_in_each_camera():
    rng = np.random.default_rng(2)
    spread = np.where(np.arange(6) < 3, 1.0, 0.1)
    features = unit(rng.normal(size=(60, 6)) * spread + 2)
    cameras = rng.integers(0, 2, 60)
    found = standardize_cameras(features, cameras)
    for row, camera in enumerate(cameras.tolist()):
        mates = features[cameras == camera].astype(np.float64)
        expected = (features[row] - mates.mean(axis=0)) / mates.std(axis=0)
        np.testing.assert_allclose(found[row], expected / np.linalg.norm(expected), atol=1e-5)


def test_a_dimension_that_never_changes_is_not_blown_up():
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(50, 4))
    rows /= np.linalg.norm(rows[:, :3], axis=1, keepdims=True)
    rows[:, 3] = 1  # so all rows have one length, and the last dimension is constant
    found = standardize_cameras(unit(rows), np.zeros(50, np.int64))
    assert np.isfinite(found).all()
    assert np.abs(found[:, 3]).max() < 1e-3


def test_other_images_are_aligned_by_the_same_statistics():
    rng = np.random.default_rng(4)
    features, cameras = unit(rng.normal(size=(30, 5)) + 1), rng.integers(0, 3, 30)
    for standardize, whole in ((False, center_cameras), (True, standardize_cameras)):
        statistics = CameraStatistics.of_images(features, cameras, standardize=standardize)
        np.testing.assert_array_equal(
            statistics.align(features[:7], cameras[:7]), whole(features, cameras)[:7]
        )
        with pytest.raises(ValueError, match="camera"):
            statistics.align(features[:1], np.array([9]))
