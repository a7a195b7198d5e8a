"""What is said about times that look wrong."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mprd.data.times import range_words, time_notes, time_ranges, time_words

MARCH = 1_773_476_102.0  # 2026-03-14 08:15:02
HOUR, DAY, YEAR = 3600.0, 86_400.0, 365.25 * 86_400
NAMES = ("gate", "yard", "lot")


def day_of(*starts: float, images: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Times and cameras: each camera has images over an hour from its start."""
    time = np.concatenate([start + np.linspace(0, HOUR, images) for start in starts])
    return time, np.repeat(np.arange(len(starts)), images)


def notes(time: np.ndarray, camera: np.ndarray, unit: str = "seconds") -> list[str]:
    return time_notes(time, camera, unit=unit, camera_names=NAMES)


def test_good_times_need_no_word() -> None:
    assert notes(*day_of(MARCH, MARCH + 600, MARCH - 600)) == []
    assert notes(*day_of(0, 600, 1200)) == [], "seconds since some start"
    assert notes(*day_of(0, 600, 1200), "frames") == []
    assert notes(*day_of(MARCH)) == [], "one camera"
    assert notes(np.full(4, np.nan), np.zeros(4, int)) == [], "no times at all"
    assert notes(np.array([]), np.array([], int)) == []


def test_one_time_for_all() -> None:
    time, camera = day_of(MARCH, MARCH)
    (note,) = notes(np.full_like(time, MARCH), camera)
    assert note.startswith("Warning: all images have one time (2026-03-14 08:15:02), which says")
    assert notes(np.array([MARCH]), np.array([0])) == [], "one image"


def test_missing_times_name_the_cameras_without_any() -> None:
    time, camera = day_of(MARCH, MARCH, MARCH)
    time[[0, *range(10, 30)]] = np.nan
    (note,) = notes(time, camera)
    assert note.startswith("21 of 30 images have no time, among them all of cameras yard, lot: ")
    time[10] = time[20] = MARCH + 600
    (note,) = notes(time, camera)
    assert note.startswith("19 of 30 images have no time: ")


@pytest.mark.parametrize("start", [0.0, 200 * DAY, -5 * DAY])
def test_a_clock_that_was_not_set(start: float) -> None:
    (note,) = notes(*day_of(MARCH, start, MARCH))
    assert note.startswith("Warning: 10 images of camera yard date from 1970 or earlier, as of a")


def test_some_images_of_a_clock_that_was_not_set() -> None:
    time, camera = day_of(MARCH, MARCH, MARCH)
    time[12:14] = 30.0
    (note,) = notes(time, camera)
    assert note.startswith("Warning: 2 images of camera yard date from 1970")


def test_a_camera_that_stands_still() -> None:
    time, camera = day_of(MARCH, MARCH, MARCH)
    time[10:20] = MARCH + 60
    (note,) = notes(time, camera)
    assert note.startswith("Warning: all images of camera yard have one time (2026-03-14 08:16:02)")
    few = np.r_[time[:10], time[10:14]]
    assert notes(few, camera[:14]) == [], "four images may be of one moment"


@pytest.mark.parametrize(
    ("away", "words"),
    [(3 * YEAR, "3 years"), (-40 * DAY, "40 days"), (5 * HOUR, "4 hours"), (3700, "100 seconds")],
)
def test_a_camera_away_from_the_others(away: float, words: str) -> None:
    (note,) = notes(*day_of(MARCH, MARCH + away, MARCH))
    assert note.startswith("The times of camera yard, ")
    assert f"are {words} away from those of every other camera" in note


def test_frames_away_from_the_others() -> None:
    (note,) = notes(*day_of(0, 1_000_000, 0), "frames")
    assert "camera yard, frame 1,000,000 to frame 1,003,600 (10 images), are 996,400 frames" in note


def test_cameras_that_all_saw_other_times() -> None:
    (note,) = notes(*day_of(MARCH, MARCH + DAY, MARCH + 2 * DAY))
    assert note.startswith("No two cameras have images of one time.")
    assert "gate: 2026-03-14 08:15:02 to 2026-03-14 09:15:02 (10 images); yard: " in note


def test_cameras_without_names_and_images_without_a_camera() -> None:
    time, camera = day_of(MARCH, MARCH + 5 * HOUR, MARCH)
    camera[camera == 2] = -1
    ranges = time_ranges(time, camera)
    assert [(one.camera, one.name) for one in ranges] == [(-1, "unknown"), (0, "1"), (1, "2")]
    (note,) = time_notes(time, camera, unit="seconds")
    assert note.startswith("No two cameras")


@pytest.mark.parametrize(
    ("time", "unit", "words"),
    [
        (MARCH, "seconds", "2026-03-14 08:15:02"),
        (12.5, "seconds", "12.5 s"),
        (-3.0, "seconds", "-3 s"),
        (2.5e11, "seconds", "250,000,000,000 s"),
        (46182.0, "frames", "frame 46,182"),
    ],
)
def test_words(time: float, unit: str, words: str) -> None:
    assert time_words(time, unit) == words


def test_words_of_a_range() -> None:
    time, camera = day_of(0, 0)
    time[[0, *range(10, 20)]] = np.nan
    gate, yard = time_ranges(time, camera, NAMES)
    assert range_words(gate, "frames") == "frame 400 to frame 3,600 (9 of 10 images)"
    assert range_words(yard, "frames") == "no times (10 images)"


@given(
    arrays(np.float64, st.integers(0, 30), elements=st.floats(-1e12, 1e12) | st.just(np.nan)),
    st.data(),
    st.sampled_from(["seconds", "frames"]),
)
def test_any_times_give_sentences(time: np.ndarray, data: st.DataObject, unit: str) -> None:
    """Sentences, whatever the times; no note depends on the order of the images."""
    camera = data.draw(arrays(np.int16, len(time), elements=st.integers(-1, 2)))
    said = notes(time, camera, unit)
    assert all(re.fullmatch(r"[A-Z0-9].*\.", note) for note in said)
    order = data.draw(st.permutations(range(len(time))))
    assert notes(time[order], camera[order], unit) == said
    ranges = time_ranges(time, camera, NAMES)
    assert sum(one.images for one in ranges) == len(time)
    assert sum(one.timed for one in ranges) == np.isfinite(time).sum()
