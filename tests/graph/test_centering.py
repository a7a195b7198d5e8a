"""Features around the means of their cameras."""

import numpy as np

from mprd.graph import center_cameras


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
