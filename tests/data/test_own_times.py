"""Times and tracks of own folders: patterns on paths, EXIF, and the index."""

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
from mprd.data.datasets import read_dataset
from mprd.data.datasets.clock import by_format, number
from mprd.errors import UserError
from mprd.stages.index import run_index
from tests.data.planted import manifest, plant_images, times

MARCH = 1_773_476_102.0  # 2026-03-14T08:15:02Z


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
    plant_images(tmp_path, path, "else/x.png")
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
    plant_images(tmp_path, "gate/1x.png")
    with pytest.raises(UserError, match=message):
        read_dataset("folder", tmp_path, time=pattern, time_format=form)


def test_tracks_in_paths(tmp_path: Path) -> None:
    plant_images(tmp_path, "cam_a/track_1/1.png", "cam_b/track_1/1.png", "cam_b/x.png")
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


def test_bad_times_are_told_and_stop_nothing(tmp_path: Path, capsys) -> None:
    plant_images(tmp_path, *(f"cam_{c}/{n}.png" for c in "ab" for n in range(6)))
    rows = [f"cam_a/{n}.png,a,{MARCH + n}\n" for n in range(6)]
    rows += [f"cam_b/{n}.png,b,{n}\n" for n in range(5)]
    (tmp_path / "m.csv").write_text(f"path,camera,time\n{''.join(rows)}cam_b/5.png,b,\n")
    config = validate({"data": {"dataset": "folder", "root": str(tmp_path / "m.csv")}}, "test")
    run_index(out=tmp_path / "index.h5", config=config)
    said = capsys.readouterr().out
    assert "1 of 12 images have no time:" in said
    assert "Warning: 5 images of camera b date from 1970" in said


def exif_image(path: Path, taken: str | None, more: dict[int, str] | None = None) -> None:
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(0x8769).update({0x9003: taken, **(more or {})})
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 8)).save(path, exif=exif.tobytes())


def test_times_of_the_files(tmp_path: Path) -> None:
    exif_image(tmp_path / "i/a.jpg", "2026:03:14 08:15:02")
    exif_image(tmp_path / "i/b.jpg", "2026:03:14 08:15:02", {0x9291: "25", 0x9011: "+02:00"})
    exif_image(tmp_path / "i/c.jpg", "0000:00:00 00:00:00")
    exif_image(tmp_path / "i/d.jpg", None)
    exif_image(tmp_path / "i/e.png", "2026:03:14 08:15:03")
    plant_images(tmp_path, "i/f.png")
    data = {"dataset": "folder", "root": str(tmp_path / "i"), "time": "exif"}
    run_index(out=tmp_path / "index.h5", config=validate({"data": data}, "test"))
    index = read_artifact(tmp_path / "index.h5", INDEX)
    nan = math.nan
    np.testing.assert_array_equal(index["time"], [MARCH, MARCH + 0.25, nan, nan, MARCH + 1, nan])
    assert index.attributes["time_unit"] == "seconds"


def test_files_without_any_time(tmp_path: Path) -> None:
    plant_images(tmp_path, "i/a.png")
    data = {"dataset": "folder", "root": str(tmp_path / "i"), "time": "exif"}
    with pytest.raises(
        UserError, match=r"data\.time: no image in .*i holds EXIF .*'a\.png'.*Leave"
    ):
        run_index(out=tmp_path / "index.h5", config=validate({"data": data}, "test"))


def test_patterns_of_a_config(tmp_path: Path) -> None:
    plant_images(tmp_path, "i/cam_a/7/20260314_081502.png", "i/cam_b/7/20260314_081503.png")
    data = {"dataset": "folder", "root": str(tmp_path / "i"), "camera": "cam_(.)"}
    data |= {"time": r"/(\d+_\d+)", "time_format": "%Y%m%d_%H%M%S", "track": r"(.)/(\d)/"}
    run_index(out=tmp_path / "index.h5", config=validate({"data": data}, "test"))
    index = read_artifact(tmp_path / "index.h5", INDEX)
    assert index["time"].tolist() == [MARCH, MARCH + 1]
    assert index["track_names"].tolist() == ["a/7", "b/7"]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("time", "frame", "'frame' has no group; put the time in parentheses"),
        ("time", "(", "no regular expression"),
        ("track", "exif", "'exif' has no group; put the track in parentheses"),
        ("time_format", "hours", "'hours' is neither frames, seconds, nor a format of strptime"),
        ("time_format", "%Y-%Q", "'%Y-%Q' is neither"),
        ("time_format", "", "'' is neither"),
    ],
)
def test_settings_that_find_nothing(key: str, value: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate({"data": {key: value}}, "test")


@pytest.mark.parametrize("form", ["%Y%m%d_%H%M%S", "%H%M%S", "%Y-%m-%dT%H-%M-%S%z", "frames"])
def test_formats_that_are_good(form: str) -> None:
    assert validate({"data": {"time_format": form}}, "test").data.time_format == form
