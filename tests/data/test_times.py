"""Times and tracks: readers, manifests, patterns on paths."""

import math
from datetime import UTC
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mprd.artifacts import INDEX, read_artifact
from mprd.config import validate
from mprd.data.datasets import ImageRecord, Listing, read_dataset
from mprd.data.datasets.base import finish
from mprd.data.datasets.clock import by_format, column, number
from mprd.data.datasets.msmt17 import frame_of
from mprd.errors import UserError
from mprd.stages.index import run_index

MARCH = 1_773_476_102.0  # 2026-03-14T08:15:02Z


def plant(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 8)).save(root / path)
    return root


def times(listing: Listing) -> dict[str, float]:
    return {record.path: record.time for record in listing.records}


def manifest(root: Path, text: str) -> Listing:
    plant(root, *(f"{letter}.png" for letter in "abcd"))
    (root / "m.csv").write_text(text)
    return read_dataset("folder", root / "m.csv")


# --- named data sets -----------------------------------------------------------------------------


def test_market_sequences_of_a_camera_follow_each_other(tmp_path: Path) -> None:
    """Frames count within a sequence; its length is the largest frame of any file, junk too."""
    plant(
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
    listing = read_dataset(name, plant(tmp_path, *paths))
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
    listing = read_dataset(name, plant(tmp_path, *paths))
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


# --- what a reader gives -------------------------------------------------------------------------


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
        r"The track '7' has images of the cameras gate and yard \(1 tracks are so\).*data\.track"
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
    assert note.startswith("Warning: 1 tracks show more than one identity, first '7': ")


# --- manifests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["12", "0.5", "-3", "1e3"], [12, 0.5, -3, 1000]),
        (["1773476102", "1773476102.25", "", "-1"], [MARCH, MARCH + 0.25, math.nan, math.nan]),
        (
            ["2026-03-14T08:15:02Z", "2026-03-14 09:15:02+01:00", "20260314T081502Z", "nan"],
            [MARCH, MARCH, MARCH, math.nan],
        ),
        (
            ["2026-03-14T08:15:02", "2026-03-14 08:15:02.5", "2026-03-14", ""],
            [MARCH, MARCH + 0.5, MARCH - 29702, math.nan],
        ),
    ],
)
def test_times_of_a_manifest(cells: list[str], expected: list[float], tmp_path: Path) -> None:
    rows = "".join(f"{name}.png,{cell}\n" for name, cell in zip("abcd", cells, strict=True))
    listing = manifest(tmp_path, f"path,time\n{rows}")
    np.testing.assert_array_equal([record.time for record in listing.records], expected)
    assert listing.time_unit == "seconds"


def test_frames_and_tracks_of_a_manifest(tmp_path: Path) -> None:
    rows = "path,frame,track\na.png,12,t 1\nb.png,,\nc.png,7.0,-1\nd.png,1,NA\n"
    listing = manifest(tmp_path, rows)
    np.testing.assert_array_equal([r.time for r in listing.records], [12, math.nan, 7, 1])
    assert [record.track for record in listing.records] == ["t 1", "", "", ""]
    assert listing.time_unit == "frames"
    assert "1 cells 'NA' of track are taken as unknown." in listing.notes


def test_an_empty_column_of_times(tmp_path: Path) -> None:
    assert manifest(tmp_path, "path,time\na.png,\nb.png,\n").time_unit == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "path,time\na.png,12\nb.png,2026-03-14T08:15\n",
            r"mixes numbers and dates without a zone: row 2 holds '12', row 3 '2026-03-14T08:15'",
        ),
        (
            "path,time\na.png,\nb.png,2026-03-14T08:15Z\nc.png,2026-03-14T08:15\n",
            r"mixes dates with a zone and dates without a zone: row 3 .*, row 4 .*in one way",
        ),
        ("path,time\na.png,14 March\n", "Row 2 of .*'14 March' is neither a date such as 2026-"),
        ("path,time\na.png,08:15\n", "Row 2 of .*'08:15' is neither a date"),
        ("path,time\na.png,inf\n", "Row 2 of .*'inf' is neither a date"),
        ("path,time\na.png,1773476102000\n", "Row 2 .*too large for seconds: divide milliseconds"),
        ("path,time\na.png,20260314081502\n", "Row 2 .*write a date as 2026-03-14T08:15:02"),
        ("path,frame\na.png,1\nb.png,x\n", "Row 3 of .*the frame 'x' is no number"),
        ("path,time,frame\na.png,1,1\n", "has the columns 'time' and 'frame': keep one"),
        ("path,tim\na.png,1\n", r"unknown column 'tim' \(did you mean 'time'\?\)"),
        (
            "path,camera,track\na.png,gate,1\nb.png,yard,1\n",
            "The track '1' has images of the cameras gate and yard",
        ),
    ],
)
def test_mistakes_in_times_of_a_manifest(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        manifest(tmp_path, text)


@given(
    st.lists(
        st.datetimes(timezones=st.sampled_from([None]) | st.timezones()), min_size=1, max_size=5
    )
)
def test_dates_are_read_or_refused(dates: list) -> None:
    """Any dates of one kind come back in seconds; a mixture is always refused."""
    cells = list(enumerate((date.isoformat() for date in dates), start=2))
    if len({date.tzinfo is None for date in dates}) > 1:
        with pytest.raises(UserError, match="mixes"):
            column(cells, "m.csv")
        return
    found = column(cells, "m.csv")
    for date, seconds in zip(dates, found, strict=True):
        utc = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        assert seconds == pytest.approx(utc.timestamp(), abs=1e-3)


@given(st.text())
def test_no_text_breaks_a_column(text: str) -> None:
    try:
        (found,) = column([(2, text)], "m.csv")
    except UserError:
        return
    assert math.isnan(found) == (text == "")


# --- patterns on paths ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "pattern", "form", "expected"),
    [
        ("gate/frame_000123.png", r"frame_(\d+)", "frames", 123),
        ("gate/1773476102.png", r"(\d{10})", "seconds", MARCH),
        ("gate/20260314_081502.png", r"(\d{8}_\d{6})", "%Y%m%d_%H%M%S", MARCH),
        ("g/2026-03-14T08-15-02.png", r"(\d{4}-\S+)\.", "%Y-%m-%dT%H-%M-%S", MARCH),
        ("2026-03-14/gate/081502.png", r"^([\d-]+)/.*/(\d+)", "%Y-%m-%d/%H%M%S", MARCH),
        ("gate/081502.png", r"(\d{6})", "%H%M%S", 29702),
        ("20260314081502+0100.png", r"([\d+]{14,})", "%Y%m%d%H%M%S%z", MARCH - 3600),
    ],
)
def test_times_in_paths(path: str, pattern: str, form: str, expected: float, tmp_path: Path):
    plant(tmp_path, path, "else/x.png")
    listing = read_dataset("folder", tmp_path, time=pattern, time_format=form)
    assert times(listing)[path] == expected
    assert math.isnan(times(listing)["else/x.png"])
    assert listing.time_unit == ("frames" if form == "frames" else "seconds")


@pytest.mark.parametrize(
    ("pattern", "form", "message"),
    [
        ("frame(.)", "frames", r"data\.time: 'frame\(\.\)' fits no path in .*'gate/1x\.png'"),
        (r"(\d\w)", "frames", r"finds '1x' in the path 'gate/1x.png', which is no number"),
        (r"(\d\w)", "seconds", "finds '1x' .*which is no number.*data.time_format"),
        (r"(\d)", "%H:%M", "finds '1' in the path 'gate/1x.png', which does not fit '%H:%M'"),
    ],
)
def test_patterns_of_times_that_fail(pattern: str, form: str, message: str, tmp_path: Path) -> None:
    plant(tmp_path, "gate/1x.png")
    with pytest.raises(UserError, match=message):
        read_dataset("folder", tmp_path, time=pattern, time_format=form)


def test_tracks_in_paths(tmp_path: Path) -> None:
    plant(tmp_path, "cam_a/track_1/1.png", "cam_b/track_1/1.png", "cam_b/x.png")
    both = read_dataset("folder", tmp_path, r"cam_(\w)", track=r"cam_(\w)/track_(\d+)")
    assert [record.track for record in both.records] == ["a/1", "b/1", ""]
    with pytest.raises(UserError, match=r"track '1' has images of the cameras a and b .*groups"):
        read_dataset("folder", tmp_path, r"cam_(\w)", track=r"track_(\d+)")
    with pytest.raises(UserError, match=r"data\.track: 'none\(.\)' fits no path"):
        read_dataset("folder", tmp_path, track="none(.)")


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e10, max_value=1e10))
def test_numbers_are_read_as_written(value: float) -> None:
    assert number(repr(value), "seconds") == value


@given(st.datetimes())
def test_a_format_reads_what_it_writes(date) -> None:
    text = date.isoformat(timespec="microseconds")
    seconds = by_format(text, "%Y-%m-%dT%H:%M:%S.%f")
    assert seconds == pytest.approx(date.replace(tzinfo=UTC).timestamp(), abs=1e-3)


# --- the index -----------------------------------------------------------------------------------


def test_times_and_tracks_of_an_index(tmp_path: Path) -> None:
    manifest(
        tmp_path,
        "path,split,identity,time,track\n"
        "b.png,query,1,2,y\na.png,train,,1.5,x\nc.png,gallery,1,,y\nd.png,train,,3,\n",
    )
    config = validate({"data": {"dataset": "folder", "root": str(tmp_path / "m.csv")}}, "test")
    run_index(out=tmp_path / "index.h5", config=config)
    index = read_artifact(tmp_path / "index.h5", INDEX)
    assert index["path"].tolist() == ["a.png", "d.png", "b.png", "c.png"]
    np.testing.assert_array_equal(index["time"], [1.5, 3, 2, np.nan])
    assert index["track"].tolist() == [0, -1, 1, 1]
    assert index["track_names"].tolist() == ["x", "y"]
    assert index.attributes["time_unit"] == "seconds"
