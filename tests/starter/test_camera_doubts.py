"""What `mprd new` doubts of the cameras that it found, and what it advises."""

import pytest

from mprd.starter.camera_shapes import camera_doubts, camera_names, guess_cameras


@pytest.mark.parametrize(
    ("paths", "advised", "names"),
    [
        (
            ["x__CAM_BACK__1.jpg", "x__CAM_FRONT__1.jpg", "x__CAM_FRONT_LEFT__1.jpg"],
            r"(?:^|[/_.-])CAM_([^/_.-]+(?:[_-][A-Za-z]+(?![A-Za-z0-9]))*)",
            {"BACK", "FRONT", "FRONT_LEFT"},
        ),
        (
            ["site_N/Camera_1/1.jpg", "site_N/Camera_2/1.jpg", "site_S/Camera_1/1.jpg"],
            "(?i)^(.*cam[^/]*)/",
            {"site_N/Camera_1", "site_N/Camera_2", "site_S/Camera_1"},
        ),
        (["north/c1/1.jpg", "north/c2/1.jpg"] * 2 + ["south/c1/1.jpg"] * 2, r"^(.*/c\d+)/", None),
    ],
)
def test_patterns_that_doubts_advise_find_the_cameras(paths, advised, names):
    (doubt,) = camera_doubts(guess_cameras(paths * 2), paths * 2)
    assert doubt.endswith(f"set data.camera to {advised!r}.")
    assert set(camera_names(advised, paths)) == (names or {"north/c1", "north/c2", "south/c1"})


@pytest.mark.parametrize(
    "layout",
    [
        "id_{i:04}/cam_{c}/{n}.jpg",  # identities
        "p{i}/cam_{c}/{n}.jpg",
        "2026-03-1{i}/cam_{c}/{n}.jpg",  # days
        "CAM0{c}/DCIM/10{i}EK113/IMG_{n}.JPG",  # a camera numbers its folders
        "train/{i}/cam{c}_{n}.jpg",
        "cam_{c}_IMG_{i}{n}.jpg",  # a word that all have
        "cam {c} - gate/{i}{n}.jpg",
    ],
)
def test_usual_layouts_leave_no_doubt(layout):
    paths = [layout.format(i=i, c=c, n=n) for i in (1, 2, 3) for c in (1, 2) for n in range(4)]
    pattern = guess_cameras(paths)
    assert [name.lstrip("0") for name in camera_names(pattern, paths)] == ["1", "2"]
    assert list(camera_doubts(pattern, paths)) == []
