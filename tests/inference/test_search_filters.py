"""A search among the images of a camera and a time, on both sides."""

import csv
import json

import numpy as np
import pandas as pd
import pytest

import mprd
from mprd.artifacts import INDEX, read_artifact
from mprd.data.datasets.clock import moment
from mprd.data.index import camera_names, split_rows
from mprd.data.windows import Window
from mprd.errors import UserError
from mprd.inference.sightings import Sightings

DAY = 86_400.0
NOON = moment("2026-03-14T12:00:00")


def seen(times, unit="seconds", cameras=None, tracks=None):
    count = len(times)
    none = np.full(count, -1)
    named = cameras or [""] * count, tracks or [""] * count, [""] * count
    return Sightings(np.array(times, float), none, none, *named, unit)


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        ("2026-03-14T12:00", None, [1, 1, 1, 0]),
        (None, "2026-03-14T13:00:00", [1, 0, 0, 0]),  # the end is not in it
        ("2026-03-14T13:00+01:00", "2026-03-14T13:30Z", [1, 1, 0, 0]),  # zones
        ("2026-03-15", None, [0, 0, 1, 0]),
        (NOON + 3600, None, [0, 1, 1, 0]),
        ("12:00", "13:00", [1, 0, 1, 0]),  # on every day
        ("13:00", "12:00", [0, 1, 0, 0]),  # past midnight
        ("14:00+02:00", None, [1, 1, 1, 0]),
        (None, "13:00", [1, 0, 1, 0]),
        (None, None, [1, 1, 1, 1]),
    ],
)
def test_times_of_a_run_with_dates(after, before, expected):
    times = seen([NOON, NOON + 3600, NOON + DAY, np.nan])
    found = times.rows(after=after, before=before)
    assert found.tolist() == [bool(one) for one in expected]


def test_times_in_the_unit_of_the_run():
    frames = seen([5, 10, 20, np.nan], "frames")
    assert frames.rows(after=10).tolist() == [False, True, True, False]
    assert frames.rows(after="5", before="20").tolist() == [True, True, False, False]
    of_day = seen([14.5 * 3600, 16 * 3600])  # data.time_format without a date
    assert of_day.rows(after="14:00", before="15:00").tolist() == [True, False]


@pytest.mark.parametrize(
    ("times", "unit", "ends", "words"),
    [
        ([np.nan], "", ("14:00", None), "No image has a time here"),
        ([5], "frames", ("14:00", None), "Times are frames in this run"),
        ([5], "seconds", ("2026-03-14", None), "are no dates, so '2026-03-14'"),
        ([5e6], "seconds", ("14:00", None), "count seconds from a start that is not known"),
        ([NOON], "seconds", ("noon", None), "neither a date such as"),
        ([NOON], "seconds", ("14:00", "2026-03-14"), "differ in kind"),
        ([NOON], "seconds", ("2026-03-15", "2026-03-14"), "No time is after '2026-03-15'"),
        ([NOON], "seconds", ("14:00", "14:00"), "No time is after '14:00'"),
    ],
)
def test_times_that_choose_nothing_are_told(times, unit, ends, words):
    with pytest.raises(UserError, match=words):
        Window.of(*ends, np.array(times, float), unit)


def test_cameras_by_name():
    some = seen([NOON] * 4, cameras=["gate", "roof", "", "gate"])
    assert some.rows("gate").tolist() == [True, False, False, True]
    assert some.rows(["gate", "roof"]).tolist() == [True, True, False, True]
    with pytest.raises(UserError, match="camera 'gaet': known are gate, roof"):
        some.rows(["gate", "gaet"])
    with pytest.raises(UserError, match="no camera is known of them"):
        seen([NOON]).rows("gate")


def test_a_mask_is_a_smaller_gallery():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    mask = rng.random(20) < 0.5
    near = mprd.search(rows[:10], rows[10:], 3, among=mask)
    alone = mprd.search(rows[:10], rows[10:][mask], 3)
    np.testing.assert_array_equal(near[0], alone[0])
    np.testing.assert_array_equal(near[1], np.flatnonzero(mask)[alone[1]])
    assert mprd.search(rows[:10], rows[10:], 3, among=np.zeros(20, bool))[1].shape == (10, 0)
    with pytest.raises(ValueError, match="among must be bool"):
        mprd.search(rows[:10], rows[10:], 3, among=mask[:5])
    with pytest.raises(ValueError, match="among must be bool"):
        mprd.search(rows[:10], rows[10:], 3, among=np.arange(20))


@pytest.fixture(scope="module")
def known(judged_run):
    index = read_artifact(judged_run.index, INDEX)
    rows = split_rows(index, "train")
    files = [f"{index.attributes['root']}/{path}" for path in index["path"][rows]]
    names = np.array(camera_names(index))[index["camera"][rows]]
    return pd.DataFrame({"camera": names, "time": index["time"][rows]}, index=files)


def test_camera_a_in_camera_b_between_two_times(judged_run, known, cli, tmp_path):
    one, other = sorted(set(known["camera"]))[:2]
    folder, page = next(iter(known.index)).rpartition("/")[0], tmp_path / "p.html"
    first, last = np.quantile(known["time"], [0.2, 0.9])
    gallery = known[(known["camera"] == other) & (known["time"] >= first) & (known["time"] < last)]
    assert 0 < len(gallery) < (known["camera"] == other).sum()
    options = ["--model", judged_run.final.model, "-k", 99, "--query-camera", one]
    options += ["--camera", other, "--after", first, "--before", last]
    for among in (judged_run.final.embeddings, folder):  # all splits, then the training images
        code, said, err = cli("search", folder, "--gallery", among, *options, "--json")
        assert code == 0, err
        assert f"queries: {(known['camera'] == one).sum()} of 54 chosen" in err
        found = json.loads(said)
        assert set(found) == set(known.index[known["camera"] == one])
        for matches in found.values():
            trained = [match for match in matches if match["path"] in known.index]
            assert {match["path"] for match in trained} == set(gallery.index)
            assert all(match["camera"] == other for match in matches)
            for match in trained:
                assert first <= float(match["time"]) < last
                assert float(match["time"]) == known.loc[match["path"], "time"]
    out = tmp_path / "m.csv"
    code, _, err = cli(
        "search", folder, "--gallery", folder, *options, "--out", out, "--html", page
    )
    assert (code, f"{len(found) * len(gallery)} matches of {len(found)} queries" in err) == (
        0,
        True,
    )
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["query"], r["rank"], r["path"]) for r in rows] == [
        (query, str(rank), match["path"])
        for query, matches in found.items()
        for rank, match in enumerate(matches, 1)
    ]
    assert {(row["query_camera"], row["camera"]) for row in rows} == {(one, other)}
    html = page.read_text()
    assert f", camera {other}, time {gallery['time'].iloc[0]:.10g}" in html
    code, said, _ = cli("search", folder, "--gallery", folder, *options)
    assert f"({other}, " in said


def test_a_manifest_and_python_say_the_same(judged_run, known, cli, tmp_path):
    files = list(known.index[:3])
    lines = [f"{file},roof,{100 * n}" for n, file in enumerate(files)]
    manifest = tmp_path / "m.csv"
    manifest.write_text("\n".join(["path,camera,frame", *lines]) + "\n")
    options = ["--model", judged_run.final.model, "--manifest", manifest, "--json"]
    options += ["--gallery", judged_run.final.embeddings, "--camera", "roof", "--after", 100]
    code, said, err = cli("search", files[0], *options)
    assert code == 0, err
    places = [(m["camera"], m["time"]) for m in json.loads(said)[files[0]]]
    assert sorted(places) == [("roof", "100"), ("roof", "200")]
    where = mprd.sightings(judged_run.folder, files, manifest)
    assert where.rows("roof", after=100).tolist() == [False, True, True]
    model = mprd.load_model(judged_run.final.model)
    _, index = model.search(files[0], files, among=where.rows("roof", after=100))
    assert sorted(index[0].tolist()) == [1, 2]


def test_what_filters_say(judged_run, bare_run, known, cli, tmp_path):
    file, gallery = known.index[0], judged_run.final.embeddings
    options = [file, "--gallery", gallery, "--model", judged_run.final.model]
    names = ", ".join(sorted(set(known["camera"])))
    unknown = "There is no image of the camera 'roof'"
    for more, message in (
        (
            ["--camera", "roof"],
            f"gallery images: There is no image of the camera 'roof': known are {names}.",
        ),
        (["--query-camera", "roof"], f"queries: {unknown}"),
        (["--after", 1e9], "None of the 81 gallery images is of that camera and time"),
        (["--query-before", -5], "None of the 1 queries is of that camera and time"),
        (["--before", "14:00"], "Times are frames in this run"),
    ):
        code, _, err = cli("search", *options, *more)
        assert (code, message in err) == (2, True), err
    options = [file, "--gallery", bare_run.final.embeddings, "--model", bare_run.final.model]
    code, _, err = cli("search", *options, "--after", "14:00")
    assert (code, "No image has a time here" in err) == (2, True), err
    lone = tmp_path / "model.safetensors"
    lone.write_bytes(judged_run.final.model.read_bytes())
    options = [file, "--gallery", known.index[1], "--model", lone]
    options[2] = known.index[1].rpartition("/")[0]
    code, said, err = cli("search", *options, "--json", "-k", 1)
    assert code == 0
    assert set(json.loads(said)[file][0]) == {"path", "similarity"}, "no run is there"
    code, _, err = cli("search", *options, "--camera", "1")
    assert (code, "lies in no folder of a run, which knows cameras" in err) == (2, True), err
