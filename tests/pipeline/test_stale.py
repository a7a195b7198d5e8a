"""`mprd status --stale`: which files a config would make again, and why."""

import os
import shutil
from pathlib import Path

import pytest

from mprd.artifacts.files import sha256_file
from mprd.config import Config, Run
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.stale import stale_files
from tests.stages.pipeline import changed


def plan_of(config: Config, folder: Path) -> RunPlan:
    config = config.model_copy(update={"results": folder})
    return RunPlan(Run("tiny", "tiny", 0, config), lambda _: "", sha256_file)


def finish(plan: RunPlan) -> None:
    """Write the files of a whole run, as if by Snakemake; each holds its own name."""
    time = 2 * 10**9
    jobs = plan.freshness.jobs.items()
    for job, files in jobs:
        if files.provenance is not None and not files.provenance.is_file():
            plan.provenance.write(files.provenance)
        if files.provenance is not None:
            os.utime(files.provenance, (time, time))
        for path in files.writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            if job[0] == "link":
                path.symlink_to(os.path.relpath(files.reads[0], path.parent))
            else:
                path.write_text(str(path.relative_to(plan.config.results)))
    for number, (_, files) in enumerate(jobs):
        for path in files.writes:
            os.utime(path, (time + number,) * 2, follow_symlinks=False)
    plan.freshness.note()


@pytest.fixture
def folder(tiny_config, tmp_path):
    finish(plan_of(tiny_config, tmp_path))
    return tmp_path


def stale(config: Config, folder: Path) -> dict[str, str]:
    found = stale_files(plan_of(config, folder))
    return {str(Path(path).relative_to(folder / "tiny")): why for path, why in found.items()}


FINAL = {"final/features.h5", "final/graph.h5", "final/clusters.h5"}
FINAL |= {"final/model.safetensors", "final/embeddings.h5", "final/clusters.csv"}
LATER = {"metrics.csv", "report.html"}
EVALUATIONS = {
    f"evaluation/{name}{end}"
    for name in ("000", "001", "002", "random", "histogram")
    for end in (".json", ".rankings.h5")
}


def epoch(number: int, *names: str) -> set[str]:
    return {f"epochs/{number:03d}/{name}" for name in names}


TRAINED = ("model.safetensors", "state.pt", "metrics.json")
LABELS = ("features.h5", "graph.h5", "clusters.h5")


def test_nothing_is_stale_in_a_finished_run(folder, tiny_config):
    assert stale(tiny_config, folder) == {}
    for number, path in enumerate(sorted(folder.rglob("*"), reverse=True)):
        os.utime(path, (3 * 10**9 + number,) * 2)
    assert stale(tiny_config, folder) == {}, "whatever the times"
    shutil.move(folder / "tiny", folder / "away")
    assert stale_files(plan_of(tiny_config, folder)) == {}, "nothing is there"


def test_a_setting_and_what_follows(folder, tiny_config):
    found = stale(changed(tiny_config, train={"lr": 0.1}), folder)
    why = {path: "changed: train.lr" for n in (1, 2) for path in epoch(n, *TRAINED)}
    why |= {"report.html": "changed: train.lr", "metrics.csv": "follows from others"}
    why |= dict.fromkeys(epoch(2, *LABELS) | FINAL, "follows from others")
    after = {path for path in EVALUATIONS if "001" in path or "002" in path}
    assert found == why | dict.fromkeys(after, "follows from others")


def test_the_settings_of_a_stage_at_the_end(folder, tiny_config, tmp_path):
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("path,cluster\n")
    found = stale(changed(tiny_config, export={"numbers": str(numbers)}), folder)
    assert found == {
        "final/clusters.h5": "changed: export.numbers",
        "final/model.safetensors": "follows from others",
        "final/embeddings.h5": "follows from others",
        "final/clusters.csv": "follows from others",
        "report.html": "changed: export.numbers",
    }


def test_a_baseline_that_is_new(folder, tiny_config):
    before = stale(changed(tiny_config, evaluate={"baselines": ["random"]}), folder)
    assert before == {"metrics.csv": "changed: evaluate.baselines"} | {
        "report.html": "changed: evaluate.baselines"
    }


def test_a_setting_of_the_images_touches_the_links(folder, tiny_config):
    """What runs share lies in another folder then; the links lead to the old one."""
    found = stale(changed(tiny_config, data={"height": 64}), folder)
    kept = {"index.h5", "config.yaml"}
    files = {str(p.relative_to(folder / "tiny")) for p in (folder / "tiny").rglob("*")}
    made = {f for f in files if (folder / "tiny" / f).is_file() and "provenance" not in f}
    assert set(found) == made - kept
    assert found["pixels.h5"] == "follows from others"
    assert found["epochs/001/features.h5"] == "follows from others"


def test_more_epochs_touch_the_end_only(folder, tiny_config):
    found = stale(changed(tiny_config, epochs=3), folder)
    assert set(found) == FINAL | LATER
    assert found["metrics.csv"] == found["report.html"] == "changed: epochs"


def test_a_missing_file(folder, tiny_config):
    (folder / "tiny/epochs/002/graph.h5").unlink()
    found = stale(tiny_config, folder)
    following = epoch(2, "clusters.h5", *TRAINED) | FINAL | LATER
    following |= {path for path in EVALUATIONS if "002" in path}
    assert found == dict.fromkeys(following, "follows from others")


def test_one_of_two_results_is_missing(folder, tiny_config):
    (folder / "tiny/epochs/002/state.pt").unlink()
    found = stale(tiny_config, folder)
    assert found["epochs/002/model.safetensors"] == "state.pt is missing"
    assert found["final/features.h5"] == "follows from others"
    assert "epochs/002/clusters.h5" not in found


def test_another_content(folder, tiny_config):
    path = folder / "tiny/epochs/002/features.h5"
    shutil.copy(folder / "tiny/epochs/001/features.h5", path)
    os.utime(path, (3 * 10**9,) * 2)
    found = stale(tiny_config, folder)
    assert found["epochs/002/graph.h5"] == "an input is newer"
    assert found["epochs/002/clusters.h5"] == "follows from others"
    assert "epochs/002/features.h5" not in found


def test_without_provenance(folder, tiny_config):
    for path in (folder / "tiny/provenance").glob("graph-*.json"):
        path.unlink()
    (folder / "tiny/provenance/contents.json").unlink()
    found = stale(tiny_config, folder)
    assert found["epochs/001/graph.h5"] == "no record of settings and code"
    assert found["epochs/002/features.h5"] == "follows from others"
    assert "epochs/001/features.h5" not in found


def test_nothing_is_written(folder, tiny_config):
    def facts() -> dict:
        paths = folder.rglob("*")
        return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in paths}

    before = facts()
    stale(changed(tiny_config, train={"lr": 0.1}), folder)
    assert facts() == before
