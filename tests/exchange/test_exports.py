"""Identities in the formats of other programs, hostile names included."""

import csv
import json
import os
import shutil

import pytest
from typer.testing import CliRunner

from mprd.artifacts import INDEX, read_artifact
from mprd.cli.app import app
from mprd.data.index import split_rows
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.exchange.folders import OUTLIERS, different
from mprd.exchange.identified import identified
from mprd.pipeline.layout import RunLayout
from mprd.stages.apply import apply_decisions
from tests.finished import HOSTILE

NAME = "../=Ann|<b>\u00e9"


@pytest.fixture(scope="module")
def run(bare_run, tmp_path_factory):
    """A run whose first cluster has a hostile name."""
    folder = tmp_path_factory.mktemp("exports") / "run"
    layout = RunLayout(shutil.copytree(bare_run.folder, folder, symlinks=True))
    found = identified(folder)
    members = [one.path for one in found.sightings if one.cluster == 0]
    log = DecisionLog(layout.decisions)
    log.append(Decision(Kind.RENAME, tuple(members), value=NAME))
    apply_decisions(folder)
    return layout


@pytest.fixture
def export(run, tmp_path):
    def export(kind, *more):
        out = tmp_path / "out"
        done = CliRunner().invoke(
            app, ["export-to", str(run.folder), kind, "--out", str(out), *more]
        )
        assert done.exit_code == 0, done.output
        return out

    return export


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_who_is_who(run):
    found = identified(run.folder)
    assert NAME in found.identities
    with run.final.table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for one, row in zip(found.sightings, rows, strict=True):
        assert (one.path, str(one.cluster), one.camera) == (
            row["path"],
            row["cluster"],
            row["camera"],
        )
        assert one.identity == (
            row["name"] or (f"cluster_{one.cluster}" if one.cluster >= 0 else "")
        )
        assert one.sure == (row["name"] != "")
        assert one.size == (16, 32)


@pytest.mark.parametrize("copies", [True, False])
def test_folders(run, export, copies):
    out = export("folders", *(["--copy"] if copies else []))
    found = identified(run.folder)
    folders = {path.name for path in out.iterdir()}
    assert len(folders - {OUTLIERS}) == len(found.identities)
    files = [path for path in out.rglob("*") if not path.is_dir()]
    assert len(files) == len(found.sightings)
    assert all(path.is_symlink() != copies for path in files)
    assert sorted(os.path.getsize(path) for path in files) == sorted(
        os.path.getsize(one.file) for one in found.sightings
    )
    assert {path.parent.parent for path in files} == {out}, "no name leads out of the folder"


@pytest.mark.parametrize("name", ["", "..", ".", "/", "a/../b", "x" * 300, "CON\0", "\u202e.jpg"])
def test_names_of_files(name):
    (made,) = different([name])
    assert 0 < len(made.encode()) <= 255
    assert not {"/", "\0"} & set(made)
    assert made not in (".", "..")


def test_coco(run, export):
    found = identified(run.folder)
    coco = json.loads((export("coco") / "annotations.json").read_text())
    images = {one["id"]: one for one in coco["images"]}
    categories = {one["id"]: one["name"] for one in coco["categories"]}
    assert len(images) == len(found.sightings)
    assert sorted(categories.values()) == sorted(found.identities)
    who = {one.path: one.identity for one in found.sightings if one.identity}
    assert len(coco["annotations"]) == len(who)
    for one in coco["annotations"]:
        image = images[one["image_id"]]
        assert who[image["file_name"]] == categories[one["category_id"]]
        assert one["attributes"]["identity"] == categories[one["category_id"]]
        assert one["bbox"] == [0, 0, image["width"], image["height"]]
        assert one["area"] == image["width"] * image["height"]


def test_fiftyone(run, export):
    """As FiftyOne reads it: https://docs.voxel51.com, FiftyOneImageClassificationDataset."""
    found = identified(run.folder)
    out = export("fiftyone")
    labels = json.loads((out / "labels.json").read_text())
    files = json.loads((out / "data.json").read_text())
    assert set(labels) == {"classes", "labels"}
    assert set(labels["labels"]) == set(files)
    assert all(os.path.isabs(path) and os.path.isfile(path) for path in files.values())
    assert all("." not in key for key in files), "FiftyOne drops what follows a dot"
    read = {
        files[key]: None if target is None else labels["classes"][target]
        for key, target in labels["labels"].items()
    }
    assert read == {str(one.file): one.identity or None for one in found.sightings}


def test_wildbook(judged_run, tmp_path):
    out = tmp_path / "out"
    CliRunner().invoke(app, ["export-to", str(judged_run.folder), "wildbook", "--out", str(out)])
    found = identified(judged_run.folder)
    rows = table(out / "wildbook.csv")
    assert [row["Encounter.mediaAsset0"] for row in rows] == [one.path for one in found.sightings]
    assert [row["MarkedIndividual.individualID"] for row in rows] == [
        one.identity for one in found.sightings
    ]
    assert {row["Encounter.year"] for row in rows} == {""}, "frame numbers are no dates"


def test_dates(judged_run, monkeypatch, tmp_path):
    from mprd.exchange import identified as module
    from mprd.exchange.tables import write_camtrap, write_wildbook

    monkeypatch.setattr(module, "iso_time", lambda time, unit: "2024-03-05T07:08:09Z")
    found = identified(judged_run.folder)
    write_wildbook(found, tmp_path)
    row = table(tmp_path / "wildbook.csv")[0]
    assert list(row.values())[3:] == ["2024", "3", "5", "7", "8"]
    assert "lack" not in write_camtrap(found, tmp_path)
    row = table(tmp_path / "observations.csv")[0]
    assert row["eventStart"] == row["eventEnd"] == "2024-03-05T07:08:09Z"
    assert row["deploymentID"] == found.sightings[0].camera
    monkeypatch.setattr(module, "iso_time", lambda time, unit: "")
    said = write_camtrap(identified(judged_run.folder), tmp_path)
    assert said.endswith(f"requires a time, which {len(found.sightings)} rows lack"), "no camera"


def test_camtrap(run, export):
    rows = table(export("camtrap-dp") / "observations.csv")
    found = identified(run.folder)
    assert len({row["observationID"] for row in rows}) == len(rows) == len(found.sightings)
    assert {row["observationLevel"] for row in rows} == {"media"}
    assert {row["observationType"] for row in rows} == {"animal"}
    assert {row["classificationMethod"] for row in rows} == {"human", "machine"}
    for row, one in zip(rows, found.sightings, strict=True):
        assert row["individualID"] == one.identity
        assert row["classificationProbability"] == ""


def test_a_name_is_no_formula(run, export):
    log = DecisionLog(run.decisions)
    before = log.entries[0]
    named = log.append(Decision(Kind.RENAME, before.images, value="=1+1"))
    try:
        apply_decisions(run.folder)
        cells = {row["identity"] for row in table(export("csv") / "identities.csv")}
    finally:
        log.undo(named.entry)
        apply_decisions(run.folder)
    assert "'=1+1" in cells
    assert "=1+1" not in cells


def test_a_full_folder_is_refused(run, tmp_path):
    (tmp_path / "x").touch()
    line = ["export-to", str(run.folder), "csv", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, line)
    assert "not empty" in str(done.exception)
    done = CliRunner().invoke(app, [*line[:-1], str(tmp_path / "new"), "--copy"])
    assert "--copy goes with folders" in str(done.exception)


def test_hostile_images_are_exported(run, export):
    out = export("folders")
    index = read_artifact(run.index, INDEX)
    assert f"{HOSTILE}.png" in index["path"][split_rows(index, "train")]
    assert any(path.name.startswith("_img src_x") for path in out.rglob("*"))
