"""`keep: last` end to end: a thin run has nothing to do, and goes on as a whole one does."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from mprd.config import merge
from tests.stage_server import environment
from tests.workflow.runs import ROOT, configure, contents, copy_of_tiny, planned, snakemake

KEPT = {"clusters.h5", "metrics.json"}
CHANGE = {"train": {"lr": 2e-3}}


def run_again(finished, values, folder, more):
    """Go on in a copy of the finished run without the GCN, with some other settings."""
    copy_of_tiny(finished[0], folder)
    shutil.rmtree(folder / ".snakemake")
    own = {"evaluate": {"every": 0, "baselines": []}, "runs": {"tiny": {}}}
    configure(folder, merge(merge({**values, "runs": None}, own), more))
    snakemake(folder)
    return folder


@pytest.fixture(scope="module")
def thin(finished, values, tmp_path_factory):
    """A run that has let go what it can."""
    return run_again(finished, values, tmp_path_factory.mktemp("thin") / "work", {"keep": "last"})


@pytest.fixture(scope="module")
def whole(finished, values, tmp_path_factory):
    """What a run that keeps all holds after the change."""
    folder = run_again(finished, values, tmp_path_factory.mktemp("whole") / "work", CHANGE)
    return contents(folder / "results/tiny")


@pytest.fixture
def folder(thin, tmp_path):
    subprocess.run(["cp", "-a", str(thin), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def names(folder, epoch):
    return {path.name for path in (folder / f"results/tiny/epochs/{epoch:03d}").glob("*.*")}


def change(folder, values):
    configure(folder, merge(yaml.safe_load((folder / "config.yaml").read_text()), values))


def test_a_thin_run_has_nothing_to_do(folder):
    assert names(folder, 1) == KEPT | {"features.h5", "graph.h5"}
    assert names(folder, 2) == KEPT
    assert names(folder, 3) > KEPT
    assert "Nothing to be done" in snakemake(folder)
    subprocess.run(["cp", "-r", str(folder), str(folder) + "2"], check=True)
    assert "Nothing to be done" in snakemake(folder.with_name("copy2")), "times do not count"


def test_commands_that_look_at_a_thin_run(folder, monkeypatch, cli):
    monkeypatch.chdir(folder)
    code, out, _ = cli("status", "results/tiny", "--stale")
    assert code == 0
    assert "finished" in out
    assert "missing" not in out
    assert "stale: nothing" in out
    code, out, _ = cli("inspect", "results/tiny/epochs/002/clusters.h5")
    assert code == 0
    code, out, _ = cli("report", "results/tiny", "--out", "again.html")
    assert code == 0
    pages = [folder / "again.html", folder / "results/tiny/report.html"]
    # The first one was drawn before its own time was known.
    again, first = (page.read_text().partition('<section id="cost">') for page in pages)
    assert again[0] == first[0]
    assert again[1] == first[1] != ""
    code, _, err = cli("inspect", "results/tiny/epochs/002/features.h5")
    assert code == 2
    assert "results/tiny/epochs/002/features.h5" in err


def test_a_file_that_went_is_made_again(folder, finished):
    name = "epochs/002/graph.h5"
    snakemake(folder, f"results/tiny/{name}")
    made, before = (contents(f / "results/tiny") for f in (folder, finished[0]))
    assert made[name] == before[name]
    assert "Nothing to be done" in snakemake(folder)


def test_a_change_is_made_from_epoch_1_and_ends_in_the_same_bytes(folder, whole):
    change(folder, CHANGE)
    snakemake(folder)
    found = contents(folder / "results/tiny")
    assert len(found) < len(whole)
    assert {name: value for name, value in whole.items() if name in found} == found
    assert names(folder, 2) == KEPT


def test_more_epochs_go_on_with_the_last(folder):
    change(folder, {"epochs": 4})
    assert planned(folder)["train"] == 1
    snakemake(folder)
    assert names(folder, 3) == KEPT
    assert "Nothing to be done" in snakemake(folder)


@pytest.mark.parametrize("after", ["epochs/001/metrics.json", "epochs/002/metrics.json"])
def test_a_kill_in_the_middle(folder, whole, after):
    change(folder, CHANGE)
    target = folder / "results/tiny" / after
    before = target.stat().st_mtime_ns
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", "--cores", "1", "--rerun-triggers", "mtime"]
    child = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment()},
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    while child.poll() is None and not (target.is_file() and target.stat().st_mtime_ns > before):
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    snakemake(folder, "--rerun-incomplete", "--nolock")
    found = contents(folder / "results/tiny")
    assert {name: value for name, value in whole.items() if name in found} == found
