"""The next useful command after a run, and what would help more."""

import shutil

import pytest

from mprd.artifacts import INDEX, read_artifact
from mprd.config import dump_yaml, load_config
from mprd.pipeline.layout import RunLayout
from mprd.report import next_step
from mprd.report.next_step import apply_next, better_start
from mprd.stages.report import run_report
from tests.stages.pipeline import changed


@pytest.fixture
def run(bare_run, tmp_path):
    return RunLayout(shutil.copytree(bare_run.folder, tmp_path / "run", symlinks=True))


def starts(run, **sections):
    config = load_config(run.config)
    run.config.write_text(dump_yaml(changed(config, **sections)))


def test_better_weights_are_named_where_they_help_most(run, monkeypatch):
    assert load_config(run.config).init.method != "imagenet"
    assert better_start(run) == ""
    starts(run, init={"method": "imagenet"})
    words = better_start(run)
    assert "ImageNet weights, and 30 images are few" in words
    root = load_config(run.config).data.root
    assert words.endswith(f"(docs/howto/weights.md): mprd new {root} --weights FILE")
    run_report(run=run.folder, out=run.report)
    assert "Weights that know such objects would help most" in run.report.read_text()
    monkeypatch.setattr(next_step, "SMALL", 30)
    assert read_artifact(run.index, INDEX).attributes["num_train"] == 30
    assert better_start(run) == ""
    monkeypatch.undo()
    starts(run, model={"backbone": "timm/hf-hub:owner/network"})
    assert better_start(run) == ""


def test_a_folder_with_a_space_is_quoted(tmp_path):
    assert apply_next(tmp_path / "my run").endswith(f"mprd apply '{tmp_path}/my run'")
