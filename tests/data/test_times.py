"""Times and tracks that readers give."""

import math
from pathlib import Path

import numpy as np
import pytest

from mprd.data.datasets import ImageRecord, Listing, read_dataset
from mprd.data.datasets.base import finish
from mprd.data.datasets.msmt17 import frame_of
from mprd.errors import UserError
from tests.data.planted import plant_images, times


def test_market_sequences_of_a_camera_follow_each_other(tmp_path: Path) -> None:
    """Frames count within a sequence; its length is the largest frame of any file, junk too."""
    plant_images(
        tmp_path,
        "bounding_box_train/0002_c1s1_000451_03.jpg",
        "bounding_box_train/0002_c1s2_000010_01.jpg",
        "bounding_box_train/0002_c1s3_000007_01.jpg.jpg",
        "bounding_box_train/0002_c2s2_000300_01.jpg",
        "query/0001_c1s2_000200_00.jpg",
        "bounding_box_test/0001_c1s1_001051_03.jpg",
        "bounding_box_test/-1_c1s1_002000_03.jpg",
    )
    listing = read_dataset("market1501", tmp_path)
    assert listing.time_unit == "frames"
    assert times(listing) == {
        "bounding_box_train/0002_c1s1_000451_03.jpg": 451,
        "bounding_box_train/0002_c1s2_000010_01.jpg": 2010,
        "bounding_box_train/0002_c1s3_000007_01.jpg.jpg": 2207,
        "bounding_box_train/0002_c2s2_000300_01.jpg": 300,
        "query/0001_c1s2_000200_00.jpg": 2200,
        "bounding_box_test/0001_c1s1_001051_03.jpg": 1051,
    }


@pytest.mark.parametrize(
    ("name", "paths", "expected"),
    [
        (
            "dukemtmcreid",
            (
                "bounding_box_train/0001_c2_f0046182.jpg",
                "query/0005_c8_f0046985.jpg",
                "bounding_box_test/0005_c1_f0044158.jpg",
            ),
            [46182, 46985, 44158],
        ),
        (
            "veri",
            (
                "image_train/0001_c001_00016450_0.jpg",
                "image_query/0002_c002_00030600_0.jpg",
                "image_test/0002_c005_00030605_0.jpg",
            ),
            [16450, 30600, 30605],
        ),
        (
            "synthetic",
            (
                "bounding_box_train/0001_c12s1_000100_00.png",
                "query/0002_c12s2_000010_00.png",
                "bounding_box_test/0002_c3s1_000020_00.png",
            ),
            [100, 110, 20],
        ),
    ],
)
def test_frames_in_names(
    name: str, paths: tuple[str, ...], expected: list[float], tmp_path: Path
) -> None:
    listing = read_dataset(name, plant_images(tmp_path, *paths))
    assert listing.time_unit == "frames"
    assert [record.time for record in listing.records] == expected


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        (
            "personx",
            (
                "bounding_box_train/0001_c3s1_33.jpg",
                "query/0411_c3s1_12.jpg",
                "bounding_box_test/0411_c4s1_20.jpg",
            ),
        ),
        (
            "msmt17",
            (
                "bounding_box_train/0000_c1_0000.jpg",
                "query/1041_c15_0002.jpg",
                "bounding_box_test/1041_c7_0003.jpg",
            ),
        ),
    ],
)
def test_names_without_times(name: str, paths: tuple[str, ...], tmp_path: Path) -> None:
    listing = read_dataset(name, plant_images(tmp_path, *paths))
    assert listing.time_unit == ""
    assert all(math.isnan(record.time) for record in listing.records)


def test_msmt17_times_are_in_the_order_of_days_parts_and_frames() -> None:
    names = [
        f"0911/0911_005_05_{day}{part}_{frame:04d}_1.jpg"
        for day in ("0113", "0114", "0302", "0303")
        for part in ("morning", "noon", "afternoon")
        for frame in (0, 1558, 9999)
    ]
    found = [frame_of(name) for name in names]
    assert found == sorted(set(found))
    assert found[1] - found[0] == 1558, "frames within a part of a day"


@pytest.mark.parametrize(
    "name",
    [
        "0000_c1_0000.jpg",
        "0000_000_01_0230morning_0008_0.jpg",
        "0000_000_01_1303morning_0008_0.jpg",
        "0000_000_01_0303evening_0008_0.jpg",
    ],
)
def test_msmt17_names_that_hold_no_time(name: str) -> None:
    assert math.isnan(frame_of(name))


def test_records_with_unknown_times_are_equal() -> None:
    one, other = ImageRecord("a", "train"), ImageRecord("a", "train", time=float("nan"))
    assert one == other
    assert hash(one) == hash(other)
    assert one != ImageRecord("a", "train", time=1.0)
    assert one != ("a", "train", -1, -1, math.nan, "")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"time": math.inf}, "'a' the time inf: it must be a number of seconds or frames, or NaN"),
        ({"time": "8:15"}, "'a' the time '8:15': it must be a number"),
        ({"time": None}, "'a' the time None: it must be a number"),
        ({"track": 7}, "'a' the track 7: it must be a str"),
    ],
)
def test_bad_times_and_tracks_of_a_reader(fields: dict, message: str) -> None:
    record = ImageRecord("a", "train", **fields)
    with pytest.raises(UserError, match=message):
        finish("mine", Listing(Path("x"), (record,)))


def test_units() -> None:
    timed = ImageRecord("a", "train", time=np.float32(3))
    assert finish("mine", Listing(Path("x"), (timed,))).time_unit == "seconds"
    assert finish("mine", Listing(Path("x"), (timed,), time_unit="frames")).time_unit == "frames"
    bare = ImageRecord("a", "train")
    assert finish("mine", Listing(Path("x"), (bare,), time_unit="frames")).time_unit == ""
    with pytest.raises(UserError, match="the time unit 'hours': it must be 'seconds' or 'frames'"):
        finish("mine", Listing(Path("x"), (timed,), time_unit="hours"))  # type: ignore[arg-type]


def test_a_track_of_two_cameras_is_an_error() -> None:
    records = tuple(
        ImageRecord(f"{n}", "train", camera=camera, track=track)
        for n, (camera, track) in enumerate([(0, "7"), (1, "7"), (-1, "7"), (0, "8"), (0, "")])
    )
    message = (
        r"The track '7' has images of the cameras gate and yard \(1 track is so\).*data\.track"
    )
    with pytest.raises(UserError, match=message):
        finish("mine", Listing(Path("x"), records, camera_names=("gate", "yard")))
    with pytest.raises(UserError, match="of the cameras 1 and 2 "):
        finish("mine", Listing(Path("x"), records))


def test_a_track_of_two_identities_is_told() -> None:
    records = tuple(
        ImageRecord(f"{n}", "train", identity, 0, track=track)
        for n, (identity, track) in enumerate([(0, "7"), (1, "7"), (-1, "8"), (2, "8"), (3, "")])
    )
    notes = finish("mine", Listing(Path("x"), records)).notes
    (note,) = (note for note in notes if "track" in note)
    assert note.startswith("Warning: 1 track shows more than one identity, first '7': ")
