"""What decides that a stage runs again lies beside the results, whatever the way to them."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mprd.config import merge
from tests.stage_server import environment, python
from tests.workflow.runs import ROOT, configure, contents, copy_of_tiny, planned, snakemake

CHANGE = {"runs": {"tiny": {"evaluate": {"flip": True}}}}
# What reads `evaluate.flip`, and what follows: three epochs, the start and two baselines.
TOUCHED = {"evaluate": 6, "table": 1, "report": 1, "settings": 1}


@pytest.fixture(scope="module")
def one(tmp_path_factory, finished, values):
    """A finished run alone, with its shared files."""
    folder = copy_of_tiny(finished[0], tmp_path_factory.mktemp("one") / "work")
    return configure(folder, {**values, "runs": {"tiny": {}}})


@pytest.fixture
def folder(one, tmp_path):
    """A copy of it with the same modification times."""
    subprocess.run(["cp", "-a", str(one), str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


def jobs(folder: Path) -> dict[str, int]:
    """Rule -> jobs of a dry run, without the target's own."""
    return {name: count for name, count in planned(folder).items() if name != "everything"}


def changed(folder: Path, values: dict) -> Path:
    return configure(folder, merge(yaml.safe_load((folder / "config.yaml").read_text()), values))


def elsewhere(folder: Path, tmp_path: Path, change: dict) -> Path:
    """A working directory from which the same results are reached by an absolute path."""
    values = yaml.safe_load((folder / "config.yaml").read_text())
    results = {"results": str(folder / "results")}
    return configure(tmp_path / "elsewhere", merge(merge(values, results), change))


def without_bookkeeping(folder: Path, tmp_path: Path, change: dict) -> Path:
    shutil.rmtree(folder / ".snakemake")
    return changed(folder, change)


def in_place(folder: Path, tmp_path: Path, change: dict) -> Path:
    return changed(folder, change)


@pytest.mark.parametrize("reach", [in_place, elsewhere, without_bookkeeping])
def test_a_change_is_noticed_whatever_the_way_to_the_results(folder, tmp_path, reach):
    assert jobs(reach(folder, tmp_path, {})) == {}
    if reach is without_bookkeeping:
        (folder / ".snakemake").mkdir(exist_ok=True)
    assert jobs(reach(folder, tmp_path, CHANGE)) == TOUCHED


def test_going_back_counts_as_a_change(folder):
    """And one page asks for all that it shows.

    Snakemake lists a folder of records once: none may be written after it was looked at.
    """
    target = "results/tiny/evaluation/000.json"
    before, rankings = (folder / target).read_text(), "results/tiny/evaluation/000.rankings.h5"
    plain = (folder / rankings).read_bytes()
    back = (folder / "config.yaml").read_text()
    changed(folder, CHANGE)
    snakemake(folder, target)
    assert (folder / rankings).read_bytes() != plain, "of the mirrored images, too"
    rest = {"evaluate": 5, "table": 1, "report": 1}
    assert jobs(folder) == rest, "the rest of the change is still to do"
    (folder / "config.yaml").write_text(back)
    assert jobs(folder) == TOUCHED | {"evaluate": 1}, "the others never left the old settings"
    snakemake(folder, "results/tiny/report.html")
    assert (folder / target).read_text() == before
    assert jobs(folder) == {}
    assert len(list((folder / "results/tiny/provenance").glob("evaluate-*.json"))) == 1


def touch(folder: Path) -> None:
    """Give every file another time, in a random order."""
    paths = [path for path in (folder / "results").rglob("*") if path.is_file()]
    random.Random(0).shuffle(paths)
    for number, path in enumerate(paths):
        os.utime(path, (time.time() + number, time.time() + number))


def test_times_alone_run_nothing(folder, tmp_path):
    touch(folder)
    assert jobs(folder) == {}
    copy = tmp_path / "without times, moved"
    shutil.copytree(folder, copy, symlinks=True, copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    assert jobs(copy) == {}
    assert jobs(changed(copy, CHANGE)) == TOUCHED, "a change among them is still seen"


def test_another_file_in_the_place_of_one_runs_what_follows(folder):
    run = folder / "results/tiny/epochs"
    shutil.copy(run / "001/features.h5", run / "002/features.h5")
    found = jobs(folder)
    assert found["graph"] == 3, "of epoch 2, of epoch 3, and at the end"
    assert found["features"] == 2
    assert "settings" not in found


def test_a_fresh_clone_beside_old_results(folder, tmp_path):
    clone = tmp_path / "clone"
    for name in ("mprd", "workflow", "config"):
        shutil.copytree(ROOT / name, clone / name, copy_function=shutil.copyfile)
    shutil.copyfile(ROOT / "Snakefile", clone / "Snakefile")
    assert plan_by(clone, folder) == {}
    source = clone / "mprd/retrieval/evaluation.py"
    source.write_text(source.read_text() + "\n_NEW = 1\n")
    assert plan_by(clone, folder) == {k: v for k, v in TOUCHED.items() if k != "settings"}


def plan_by(clone: Path, folder: Path) -> dict[str, int]:
    """Dry-run with the code of a clone."""
    variables = {**os.environ, "PYTHONPATH": str(clone)}
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(clone / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    command += ["--cores", "2", "--dry-run", "--quiet", "host"]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, cwd=folder)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    table = text.partition("Job stats:")[2].partition("total")[0]
    rows = [line.split() for line in table.splitlines()[3:] if line.strip()]
    return {name: int(count) for name, count in rows if name != "everything"}


def test_a_dry_run_writes_nothing(tmp_path, values):
    folder = configure(tmp_path / "fresh", {**values, "runs": {"tiny": {}}})
    assert jobs(folder)["train"] == 3
    assert not (folder / "results").exists()


def test_a_dry_run_of_a_change_writes_nothing(folder):
    changed(folder, CHANGE)
    before = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*")}
    assert jobs(folder) == TOUCHED
    assert {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*")} == before


def test_a_dry_run_says_why(folder):
    changed(folder, CHANGE)
    output = snakemake(folder, "--dry-run", "results/tiny/evaluation/000.json")
    assert "evaluate changed: evaluate.flip" in output


def test_a_second_workflow_is_told_who_works_there(folder, tmp_path):
    (folder / "results/tiny/final/clusters.csv").unlink()
    ready, go = tmp_path / "ready", tmp_path / "go"
    code = (
        "import sys, time, pathlib; from mprd.pipeline.layout import RunLayout;"
        "from mprd.pipeline.run_lock import hold_runs;"
        f"hold_runs([RunLayout(pathlib.Path({str(folder / 'results/tiny')!r}))]);"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    )
    holder = subprocess.Popen([sys.executable, "-c", code])
    try:
        while not ready.exists():
            assert holder.poll() is None
            time.sleep(0.05)
        before = contents(folder / "results/tiny")
        place = elsewhere(folder, tmp_path, {})
        for directory in (place, folder):
            output = snakemake(directory, check=False)
            assert f"process {holder.pid} on {os.uname().nodename}, since 20" in output
            assert f"kill {holder.pid}" in output
            assert contents(folder / "results/tiny") == before
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert not go.exists()
    snakemake(place, str(folder / "results/tiny/final/clusters.csv"))
    assert (folder / "results/tiny/final/clusters.csv").is_file()


def test_another_workflow_imports_this_one(tmp_path, values):
    """By Snakemake's `module`: its own rule reads what our stages make."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    ours = {**values, "epochs": 1, "runs": {"tiny": {}}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"mprd": ours}))
    (folder / "Snakefile").write_text(
        f"""
configfile: "config.yaml"

module mprd:
    snakefile: {str(ROOT / "workflow/Snakefile")!r}
    config: config["mprd"]

use rule * from mprd as mprd_*

rule count:
    default_target: True
    input: "results/tiny/epochs/001/clusters.h5", "results/tiny/config.yaml"
    output: "count.json"
    shell: "mprd inspect {{input[0]}} --json > {{output}}"
"""
    )
    command = [python(), "-m", "snakemake", "--cores", "2", "--directory", str(folder)]
    command += ["--snakefile", str(folder / "Snakefile")]

    def run() -> str:
        variables = {**os.environ, **environment()}
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run()
    assert json.loads((folder / "count.json").read_text())["kind"] == "mprd.clusters"
    assert yaml.safe_load((folder / "results/tiny/config.yaml").read_text())["epochs"] == 1
    assert "Nothing to be done" in run()
