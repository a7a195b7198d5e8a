"""`mprd status`: from the files of a run, half done and whole."""

import json
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mprd.artifacts import read_json
from mprd.cli.app import app
from mprd.config import load_config
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import RunLock
from mprd.report.status import run_status, seconds_left, show_status


def call(*args: object) -> str:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False).output


@pytest.fixture
def copy(judged_run, tmp_path):
    return RunLayout(shutil.copytree(judged_run.folder, tmp_path / "half"))


def test_a_finished_run(judged_run):
    found = run_status(judged_run.folder)
    assert found.done == len(found.epochs) == 2
    assert found.start == ()
    assert found.end == ("report",), "the fixture draws none"
    assert found.seconds_left == 0
    for epoch in found.epochs:
        report = read_json(judged_run.epoch(epoch.number).metrics, "mprd.metrics", "train")
        assert epoch.loss == report["loss"]
    figures = {"clusters", "outliers", "health", "mAP", "rank1"}
    assert set(found.epochs[1].figures) == figures
    assert set(found.final) == figures - {"mAP", "rank1"} | {"images"}
    text = call("status", judged_run.folder)
    assert "2 of 2 epochs done" in text
    assert "at the end, missing: report" in text
    assert "mAP" in text
    assert f"at the end: {found.final['clusters']} clusters, " in text


def test_one_outlier_is_one(judged_run, capsys):
    found = run_status(judged_run.folder)
    show_status(replace(found, final=found.final | {"outliers": 1}), None)
    assert ", 1 outlier of " in capsys.readouterr().out


def test_a_run_half_way(copy):
    copy.epoch(2).metrics.unlink()
    copy.epoch(2).model.unlink()
    copy.final.clusters.unlink()
    found = run_status(copy.folder)
    assert found.done == 1
    assert found.epochs[0].missing == ()
    assert found.epochs[1].missing == ("model", "metrics")
    assert "clusters" in found.end
    text = call("status", copy.folder)
    assert "1 of 2 epochs done" in text
    assert "missing: model, metrics" in text
    assert "not running" in text
    assert f"clusters of the start: {copy.start_table}" in text
    said = json.loads(call("status", copy.folder, "--json"))
    assert said["epochs"][1]["missing"] == ["model", "metrics"]


def test_a_run_that_has_just_begun(copy):
    shutil.rmtree(copy.folder / "epochs")
    copy.initial_gcn.unlink()
    found = run_status(copy.folder)
    assert found.done == 0
    assert found.start == ("initial_gcn",)
    assert found.seconds_left is None
    assert "before epoch 1, missing: relation GCN" in call("status", copy.folder)


def test_the_time_left_is_epochs_left_at_the_pace_of_the_last(copy):
    text = copy.config.read_text().replace("epochs: 2\n", "epochs: 12\n")
    copy.config.write_text(text)
    first, second = copy.epoch(1).metrics, copy.epoch(2).metrics
    now = second.stat().st_mtime
    os.utime(first, (now, now - 600))
    os.utime(second, (now, now))
    left = run_status(copy.folder).seconds_left
    assert left == pytest.approx(10 * 600, abs=600), "less what of epoch 3 has passed"


@pytest.fixture
def plain(copy):
    """Two of twelve epochs without the relation GCN, each a minute from features to its end."""
    text = copy.config.read_text().replace("epochs: 2\n", "epochs: 12\n")
    values = yaml.safe_load(text) | {"use_gcn": False}
    values["cluster"]["relation"] = "jaccard"
    values["train"] |= {"use_hsd": False, "use_ppa": False}
    copy.config.write_text(yaml.safe_dump(values))
    return copy


def ended(run, number, when, took=60):
    os.utime(run.epoch(number).features, (when - took,) * 2)
    os.utime(run.epoch(number).metrics, (when,) * 2)


def test_the_time_left_after_one_epoch(plain):
    plain.epoch(2).metrics.unlink()
    now = time.time()
    ended(plain, 1, now)
    assert run_status(plain.folder).seconds_left == pytest.approx(11 * 60, abs=5)
    assert "about 11 minutes left for the other epochs" in call("status", plain.folder)


def test_a_pause_between_two_epochs_does_not_count(plain):
    now = time.time()
    ended(plain, 1, now - 86_400)
    ended(plain, 2, now)
    assert run_status(plain.folder).seconds_left == pytest.approx(10 * 60, abs=5)


def test_the_time_left_of_epochs_that_are_made_again(plain):
    """Epoch 2 is of before: its time says nothing, and it comes again."""
    now = time.time()
    ended(plain, 1, now)
    ended(plain, 2, now - 500)
    config = load_config(plain.config)
    assert seconds_left(plain, config, now - 100) == pytest.approx(11 * 60, abs=5)


def test_a_run_at_work(copy):
    copy.epoch(2).metrics.unlink()
    copy.final.clusters.unlink()
    lock = RunLock(copy)
    try:
        assert run_status(copy.folder).running
        text = call("status", copy.folder)
    finally:
        lock.release()
    assert "1 of 2 epochs done, running" in text
    assert re.search(r"2 .*running", text), "the epoch"
    assert "missing" not in text
    (copy.folder / ".running.json").touch()
    assert not run_status(copy.folder).running, "a killed workflow holds no lock"


def test_a_run_without_labels_has_no_columns_for_them(bare_run):
    text = call("status", bare_run.folder)
    assert "mAP" not in text
    assert "rank-1" not in text
    assert "outliers" in text


def test_no_run(tmp_path):
    with pytest.raises(UserError, match="is no folder of a run"):
        run_status(tmp_path)


@pytest.mark.parametrize("words", ["{run} --stale", "--stale {run}", "{run} --stale --json"])
def test_stale_files_by_the_config_of_the_run(bare_run, tmp_path, monkeypatch, words):
    """Without a config the run's own says where its images lie, and with which settings."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bare_run.folder, tmp_path / "results/bare")
    text = call("status", *words.format(run="results/bare").split())
    table = RunLayout(Path("results/bare")).final.table
    why = "no record of settings and code"
    assert f"{table}: {why}" in text if "json" not in words else f'"{table}": "{why}"' in text
    monkeypatch.chdir("results/bare")
    assert f"{table.name}: {why}" in call("status", ".", "--stale")


def test_stale_files_of_no_run(tmp_path):
    with pytest.raises(UserError, match="is no folder of a run"):
        call("status", tmp_path, "--stale")


def test_no_column_without_a_title(judged_run, capsys):
    """It is for epochs that lack something."""
    show_status(run_status(judged_run.folder), None)
    assert "┃  ┃" not in capsys.readouterr().out
