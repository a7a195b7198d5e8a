"""Times and tracks that `mprd new` finds in paths."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from mprd.cli.app import app
from mprd.config import load_config
from mprd.data.datasets import read_dataset
from mprd.pipeline.idle import idle_settings
from mprd.starter.shapes import TimeShape, guess_times, guess_tracks
from mprd.starter.survey import survey
from mprd.starter.time_doubts import time_doubts

START = datetime(2026, 3, 14, 8, 15, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "pattern", "form"),
    [
        ("cam_a/20260314_0815{:02}.jpg", r"(\d{8}_\d{6})", "%Y%m%d_%H%M%S"),
        ("x_20260314T0815{:02}_3.jpg", r"(\d{8}T\d{6})", "%Y%m%dT%H%M%S"),
        (
            "2026-03-14T08-15-{:02}.jpg",
            r"(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2})",
            "%Y-%m-%dT%H-%M-%S",
        ),
        (
            "2026-03-14 08:15:{:02}.jpg",
            r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})",
            "%Y-%m-%d %H:%M:%S",
        ),
        (
            "2026_03_14_08_15_{:02}.jpg",
            r"(\d{4}_\d{2}_\d{2}_\d{2}_\d{2}_\d{2})",
            "%Y_%m_%d_%H_%M_%S",
        ),
        ("202603140815{:02}.jpg", r"(\d{14})", "%Y%m%d%H%M%S"),
        ("frame_{:06}.jpg", r"[Ff]rame[_-]?(\d+)", "frames"),
        ("a/Frame{}.jpg", r"[Ff]rame[_-]?(\d+)", "frames"),
        ("0001_c2_f{:07}.jpg", r"(?:^|[/_-])f(\d{3,})", "frames"),
        ("f{:05}.jpg", r"(?:^|[/_-])f(\d{3,})", "frames"),
        ("gate/17734761{:02}.jpg", r"((?:1\d{9}|20\d{8})(?:\.\d+)?)", "seconds"),
        ("gate/17734761{:02}.25.jpg", r"((?:1\d{9}|20\d{8})(?:\.\d+)?)", "seconds"),
        ("192.168.1.64_01_202603140815{:02}123_X.jpg", r"(\d{14})\d{3}", "%Y%m%d%H%M%S"),
        ("PXL_20260314_0815{:02}123.jpg", r"(\d{8}_\d{6})\d{3}", "%Y%m%d_%H%M%S"),
        (
            "20260314T0815{:02}+0100.jpg",
            r"(\d{8}T\d{6}[+-]\d{2}:?\d{2})",
            "%Y%m%dT%H%M%S%z",
        ),
        ("20260314_0815{:02}-0001.jpg", r"(\d{8}_\d{6})", "%Y%m%d_%H%M%S"),
        (
            "2026-03-14 08.15.{:02} PM.jpg",
            r"(\d{4}-\d{2}-\d{2} \d{2}\.\d{2}\.\d{2} [AaPp][Mm])(?![A-Za-z])",
            "%Y-%m-%d %I.%M.%S %p",
        ),
        (
            "StationA__Cam1__2026-03-14__08-15-{:02}(1).JPG",  # camtrapR
            r"(\d{4}-\d{2}-\d{2}__\d{2}-\d{2}-\d{2})",
            "%Y-%m-%d__%H-%M-%S",
        ),
        # What names a folder is the time of a copy.
        ("x_20260501_101112/20260314_0815{:02}.jpg", r"(\d{8}_\d{6})[^/]*$", "%Y%m%d_%H%M%S"),
    ],
)
def test_times_are_guessed(name: str, pattern: str, form: str) -> None:
    paths = [name.format(n) for n in range(10, 20)]
    assert guess_times(paths) == TimeShape(pattern, form)


@pytest.mark.parametrize(
    "paths",
    [
        [f"a/{n}.jpg" for n in range(9)],  # a number of what?
        ["20260314_081502.jpg"] * 9,  # one time for all
        [f"20261399_0815{n:02}.jpg" for n in range(9)],  # no month
        [*(f"20260314_0815{n:02}.jpg" for n in range(20)), "20261399_081500.jpg"],  # one of 21
        [f"10260314_0815{n:02}.jpg" for n in range(9)],  # no year of digital images
        [f"99999999{n:02}.jpg" for n in range(9)],  # no seconds of these decades
        [f"9177347610{n:02}.jpg" for n in range(9)],  # part of a longer number
        [f"f{n}.jpg" for n in range(9)],  # f3: a floor?
        [*(f"frame_{n}.jpg" for n in range(8)), "x.jpg"],  # an eighth has none
        [f"20260314/cam_a/{n:06}.jpg" for n in range(9)],  # images of a day, numbered
        [f"2026-03-{day}/{n:06}.jpg" for day in (14, 15) for n in range(100, 109)],
        [f"120000{one}000/{n}.jpg" for one in range(4) for n in range(4)],  # a folder's number
        [f"20260314_0815{n:02}.PM.jpg" for n in range(9)],  # morning or evening?
    ],
)
def test_times_are_not_guessed_from_little(paths: list[str]) -> None:
    assert guess_times(paths) is None


@pytest.mark.parametrize(
    ("paths", "camera", "words"),
    [
        (
            [f"copy_20260501_10111{k}/20260314_0815{n:02}.jpg" for k in (1, 2) for n in range(9)],
            None,
            "18 paths hold two times, first 'copy_20260501_101111/20260314_081500.jpg': "
            "'20260314_081500' counts, not '20260501_101111'.",
        ),
        (
            [f"a/20260314_0815{n:02}_20260314_0816{n:02}.jpg" for n in range(9)],
            None,
            "9 paths hold two times, first 'a/20260314_081500_20260314_081600.jpg': "
            "'20260314_081500' counts, not '20260314_081600'.",
        ),
        (
            [f"20260314_0{hour}1502/frame_{n:05}.jpg" for hour in (8, 9) for n in range(8)],
            None,
            "16 images have only 2 different times. If these are the starts of videos",
        ),
        (
            [f"cam{c}/clip_{k}/frame_{n:04}.jpg" for c in (1, 2) for k in (1, 2) for n in range(5)],
            r"cam(\d)",
            "Frame 0 of camera 1 is in 'cam1/clip_1/frame_0000.jpg' and in "
            "'cam1/clip_2/frame_0000.jpg': they count as taken at one time.",
        ),
        (
            [f"video{k}_frame_{n:04}.jpg" for k in (1, 2) for n in range(5)],
            None,
            "Frame 0 is in 'video1_frame_0000.jpg' and in 'video2_frame_0000.jpg': they count",
        ),
    ],
)
def test_doubts_about_times_are_told(paths: list[str], camera: str | None, words: str) -> None:
    (doubt,) = time_doubts(guess_times(paths), camera, paths)
    assert doubt.startswith(words)


@pytest.mark.parametrize(
    "name",
    [
        "cam_{c}/20260314_0815{n:02}_0.jpg",
        "cam_{c}/frame_{n:05}_{k}.jpg",  # several people in a frame
        "cam_{c}/track_{k:03}/frame_{n:05}.jpg",  # likewise
        "id_{k}/cam_{c}_frame{n}.jpg",
        "p{k}/cam_{c}/frame_{n:05}.jpg",
        "person_{k}/cam_{c}_20260314_08{k}5{n:02}.jpg",
    ],
)
def test_usual_times_leave_no_doubt(name: str) -> None:
    paths = [name.format(c=c, n=n, k=k) for c in "ab" for n in range(9) for k in (1, 2)]
    times = guess_times(paths)
    assert times is not None
    assert list(time_doubts(times, "cam_(.)", paths)) == []


def test_a_shape_keeps_what_tells_it_from_longer_numbers() -> None:
    paths = [f"99999999999999_{20260314080000 + n}.jpg" for n in range(9)]
    assert guess_times(paths) is None, "two numbers, and the first is no date"
    paths = [f"777_1111111111111112345_{1773476100 + n}.jpg" for n in range(9)]
    assert guess_times(paths) == TimeShape(
        r"(?<!\d)((?:1\d{9}|20\d{8})(?:\.\d+)?)(?!\d)", "seconds"
    )


def test_days_that_are_folders() -> None:
    paths = [f"2026-03-{day}/gate/x_08-15-{n:02}.jpg" for day in (14, 15) for n in range(5)]
    shape = guess_times(paths)
    assert shape is not None
    assert shape.form == "%Y-%m-%d/%H-%M-%S"
    match = re.search(shape.pattern, paths[-1])
    assert match is not None
    assert match.groups() == ("2026-03-15", "08-15-04")


@given(st.integers(2, 40), st.sampled_from(["%Y%m%d_%H%M%S", "%Y-%m-%dT%H-%M-%S", "%Y%m%d%H%M%S"]))
def test_what_is_guessed_is_read(count: int, form: str) -> None:
    """Dates come back, whatever stands around them."""
    paths = [f"c1/x9_{START + timedelta(hours=7 * n):{form}}_0{n}.jpg" for n in range(count)]
    shape = guess_times(paths)
    assert shape is not None
    assert shape.form == form
    found = [re.search(shape.pattern, path) for path in paths]
    dates = [datetime.strptime(match[1], form).replace(tzinfo=UTC) for match in found if match]
    assert dates == [START + timedelta(hours=7 * n) for n in range(count)]


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("track_{}", ["track_0", "track_1"]),
        ("a/Track{}", ["Track0", "Track1"]),
        ("x/tracklet-{}", ["tracklet-0", "tracklet-1"]),
        ("tracks/{}", ["0", "1"]),
        ("track_id_{}", ["track_id_0", "track_id_1"]),
    ],
)
def test_tracks_are_guessed(folder: str, names: list[str]) -> None:
    paths = [f"{folder.format(track)}/{n}.jpg" for track in range(2) for n in range(4)]
    pattern = guess_tracks(paths, None)
    assert pattern is not None
    assert sorted({re.search(pattern, path)[1] for path in paths}) == names  # type: ignore[index]


@pytest.mark.parametrize(
    "paths",
    [
        [f"id_{one:04}/{n}.jpg" for one in range(2) for n in range(4)],  # identities
        [f"person_{one}/{n}.jpg" for one in range(2) for n in range(4)],
        [f"track_{n}/1.jpg" for n in range(8)],  # one image each
        [f"track_1/{n}.jpg" for n in range(8)],  # the whole is one
        [f"soundtrack_{one}/{n}.jpg" for one in range(2) for n in range(4)],
    ],
)
def test_tracks_are_not_guessed_from_little(paths: list[str]) -> None:
    assert guess_tracks(paths, None) is None


@pytest.mark.parametrize("folder", ["cam_{c}/track_{t}", "track_{t}/cam_{c}", "Cam{c}/day/trk{t}"])
def test_cameras_that_number_their_tracks_each(folder: str) -> None:
    paths = [f"{folder.format(c=c, t=t)}/{n}.jpg" for c in "ab" for t in "12" for n in range(3)]
    pattern = guess_tracks(paths, r"(?i)cam_?([a-z])")
    assert pattern is not None
    tracks = {re.search(pattern, path).groups() for path in paths}  # type: ignore[union-attr]
    assert len(tracks) == 4


def test_tracks_whose_camera_is_not_to_be_found() -> None:
    """A track of several cameras is none, and the camera in its name makes one of each image."""
    paths = [f"track_{track}/cam{n}.jpg" for track in range(2) for n in range(4)]
    assert guess_tracks(paths, r"cam(\d)") is None
    assert guess_tracks(paths, None) is not None


def draw(root: Path, names: list[str]) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((16, 8, 3), np.uint8)).save(root / name)
    return root


def names_of(start: int) -> list[str]:
    return [
        f"cam_{camera}/track_{track}/20260314_08{start + 10 * track + n:02}00.png"
        for camera in "ab"
        for track in (1, 2)
        for n in range(3)
    ]


@pytest.mark.parametrize("more", [[], ["--train"]])
def test_a_survey_and_its_config(tmp_path, monkeypatch, more) -> None:
    monkeypatch.chdir(tmp_path)
    root = draw(tmp_path / "crops", names_of(0))
    done = CliRunner().invoke(app, ["new", str(root), *more], catch_exceptions=False)
    assert "times in their paths (%Y%m%d_%H%M%S); check" in done.output
    for camera in "ab":
        words = "2026-03-14 08:10:00 to 2026-03-14 08:22:00 (6 images)"
        assert f"  camera {camera}: {words}" in done.output
    assert "tracks in their paths: 4; check" in done.output
    config = load_config(Path("crops.yaml"))
    data = config.data
    assert config.use_time, "times that are found are used"
    assert not config.use_gcn
    assert (config.cluster.method, config.graph.eps_max) == ("linkage", 0.97)
    assert idle_settings([config]) == [], "no setting that does nothing"
    assert data.track == r"(?:^|[/_.-])cam_([^/_.-]+).*?(track_\d+)"
    listing = read_dataset(
        "folder",
        root,
        data.camera,
        time=data.time,
        time_format=data.time_format,
        track=data.track,
    )
    assert listing.time_unit == "seconds"
    assert listing.records[0].time == datetime(2026, 3, 14, 8, 10, tzinfo=UTC).timestamp()
    assert {record.track for record in listing.records} == {
        f"{camera}/track_{track}" for camera in "ab" for track in (1, 2)
    }


def test_a_survey_tells_of_odd_times(tmp_path) -> None:
    draw(tmp_path, [f"cam_a/20260314_08{n:02}00.png" for n in range(6)])
    draw(tmp_path, [f"cam_b/20310314_08{n:02}00.png" for n in range(6)])
    (note,) = survey(tmp_path).time_notes
    assert note.startswith("No two cameras have images of one time.")


def test_a_survey_without_times(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = draw(tmp_path / "crops", [f"cam_{c}/{n}.png" for c in "ab" for n in range(4)])
    done = CliRunner().invoke(app, ["new", str(root), "--train"], catch_exceptions=False)
    assert "times in their paths: not found" in done.output
    assert "track" not in done.output
    config = load_config(Path("crops.yaml"))
    data = config.data
    assert not config.use_time
    assert (config.use_gcn, config.cluster.method) == (False, "linkage")
    assert (data.time, data.time_format, data.track) == (None, "frames", None)
