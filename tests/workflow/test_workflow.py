"""The workflow end to end on tiny data: what runs, what is run again, and the same bytes."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import pandas as pd
import pytest
import yaml

from mprd.config import merge

ROOT = Path(__file__).parents[2]


def snakemake(folder: Path, *args: str, check: bool = True) -> str:
    """Run Snakemake on `folder`/config.yaml with `folder` as working directory."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    done = subprocess.run(
        [*command, "--cores", "2", *args],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        check=False,
    )
    output = done.stdout + done.stderr
    if check:
        assert done.returncode == 0, output
    return output


def configure(folder: Path, values: dict) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return folder


def planned(folder: Path) -> dict[str, int]:
    """Return rule -> number of jobs of a dry run."""
    output = snakemake(folder, "--dry-run", "--quiet", "host")
    table = output.partition("job")[2].partition("total")[0]
    return {name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.MULTILINE)}


def contents(run: Path) -> dict[str, str]:
    """Digest of every result: file bytes of weights and state, data sets of HDF5 files."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.suffix in (".safetensors", ".pt", ".csv", ".json"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".h5":
            with h5py.File(path) as file:
                found[name] = hashlib.sha256(
                    b"".join(k.encode() + bytes(file[k][()].tobytes()) for k in sorted(file))
                    if file.attrs["schema"] != "mprd.index"
                    else file.attrs["digest"].encode()
                ).hexdigest()
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_values):
    """A finished workflow: its folder and what it printed."""
    folder = configure(tmp_path_factory.mktemp("workflow"), tiny_values)
    return folder, snakemake(folder)


@pytest.fixture
def again(finished, tmp_path):
    """A copy of the finished folder with the same modification times."""
    folder = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(finished[0]), str(folder)], check=True)
    return folder


def test_everything_is_there(finished):
    folder, output = finished
    run = folder / "results/tiny"
    for name in [
        "config.yaml",
        "index.h5",
        "pixels.h5",
        "init/model.safetensors",
        "init/metrics.json",
        "epochs/001/features.h5",
        "epochs/001/graph.h5",
        "epochs/001/clusters.h5",
        "epochs/002/model.safetensors",
        "epochs/002/state.pt",
        "epochs/002/metrics.json",
        "evaluation/histogram.json",
        "evaluation/random.json",
        "evaluation/000.json",
        "evaluation/001.json",
        "evaluation/002.rankings.h5",
        "metrics.csv",
        "final/clusters.csv",
        "final/embeddings.h5",
        "logs/epochs/001/train.log",
        "benchmarks/epochs/001/train.tsv",
    ]:
        assert (run / name).is_file(), name
    table = pd.read_csv(run / "metrics.csv", dtype={"model": str})
    assert table["model"].tolist() == ["histogram", "random", "init", "1", "2"]
    assert table["mAP"].notna().all()
    assert "rank-1" in output, "the table is printed at the end"
    assert not list(run.rglob("*.partial"))


def test_a_second_call_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished[0])


def test_deleting_middle_artifacts_gives_the_same_bytes(again):
    run = again / "results/tiny"
    before = contents(run)
    middle = ["epochs/001/graph.h5", "epochs/002/clusters.h5", "epochs/001/features.h5"]
    for name in middle:
        (run / name).unlink()
    assert "Nothing to be done" in snakemake(again), "finished results stay without them"
    snakemake(again, *(f"results/tiny/{name}" for name in middle))
    assert contents(run) == before
    shutil.rmtree(run / "epochs/002")
    (run / "epochs/001/clusters.h5").unlink()
    (run / "final/clusters.csv").unlink()
    snakemake(again)
    assert contents(run) == before


def test_a_fresh_run_gives_the_same_bytes(finished, tmp_path, tiny_values):
    values = {**tiny_values, "evaluate": {"every": 0}}
    folder = configure(tmp_path / "fresh", values)
    snakemake(folder, "results/tiny/epochs/002/model.safetensors")
    fresh = contents(folder / "results/tiny")
    before = contents(finished[0] / "results/tiny")
    assert len(fresh) >= 14
    assert fresh == {name: before[name] for name in fresh}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"evaluate": {"every": 1, "baselines": ["random"]}}, {"table"}),
        (
            {"cluster": {"eps": 0.55, "min_samples": 2}},
            {"cluster", "train", "features", "graph", "evaluate", "table", "export"},
        ),
        (
            {"train": {"iters": 4, "identities": 2, "instances": 4, "lr": 1e-3}},
            {
                "train", "features", "graph", "cluster", "evaluate", "table", "export",
            },
        ),
        (
            {"epochs": 3},
            {"features", "graph", "cluster", "train", "evaluate", "table", "export"},
        ),
        ({"device": "auto"}, set()),
    ],
    ids=["baselines", "eps", "iters", "epochs", "device"],
)  # fmt: skip
def test_a_changed_setting_runs_only_what_reads_it(again, tiny_values, change, expected):
    configure(again, {**tiny_values, **change})
    plan = planned(again)
    assert set(plan) - {"all"} == expected
    if "eps" in change.get("cluster", {}):
        assert plan["features"] == 1, "the first epoch's features do not depend on eps"
        assert plan["evaluate"] == 2, "neither does the evaluation of the initial model"
    if "epochs" in change:
        assert plan["train"] == 1, "the epochs that are there stay"


GCN = {
    "use_gcn": True,
    "graph": {"k1": 20, "k2": 6},
    "gcn": {
        "neighbors": 3,
        "hidden": [8, 8],
        "conv": [8, 12],
        "mlp": 8,
        "metadata": {"images": 3, "views": 4},
        "unlabelled": {"negative_rank": 5},
        "pretrain": {"metadata": 2, "unlabelled": 3},
        "update": {"metadata": 1, "unlabelled": 2, "collected": 1},
    },
}


def test_the_relation_gcn_beside_a_plain_run(tmp_path, tiny_values):
    """One DAG of both kinds of runs; the GCN is passed on, and made again byte for byte."""
    values = {**tiny_values, "runs": {"plain": {"graph": GCN["graph"]}, "gcn": GCN}}
    folder = configure(tmp_path / "gcn", values)
    snakemake(folder)
    results = folder / "results"
    for name in [
        "gcn/metadata.h5",
        "gcn/pretrained.safetensors",
        "gcn/metrics.json",
        "epochs/001/gcn.safetensors",
        "epochs/002/relations.h5",
    ]:
        assert (results / "gcn" / name).is_file(), name
        assert not (results / "plain" / name).exists(), name
    table = pd.read_csv(results / "gcn/metrics.csv", dtype={"model": str})
    assert table["pos_prec"].iloc[-2] > 0
    before = contents(results / "gcn")
    assert len([name for name in before if "gcn" in name or "relations" in name]) == 7
    shutil.rmtree(results / "gcn/epochs/001")
    shutil.rmtree(results / "gcn/epochs/002")
    shutil.rmtree(results / "gcn/gcn")
    snakemake(folder)
    assert contents(results / "gcn") == before
    configure(
        folder, {**values, "runs": {**values["runs"], "gcn": merge(GCN, {"gcn": {"batch": 8}})}}
    )
    plan = planned(folder)
    assert plan["pretrain"] == 1
    assert plan["train_gcn"] == 2
    assert "train" not in plan
    assert "metadata" not in plan, "the metadata do not depend on the batch"


@pytest.mark.parametrize("gcn", [False, True], ids=["plain", "gcn"])
def test_several_epochs_in_a_job_give_the_same_bytes(tmp_path, tiny_values, gcn):
    values = {**tiny_values, "epochs": 3, "evaluate": {"every": 0}}
    values = merge(values, GCN) if gcn else values
    found = []
    for name, together in (("one", 1), ("two", 2)):
        folder = configure(tmp_path / name, {**values, "epochs_per_job": together})
        snakemake(folder, "results/tiny/epochs/003/model.safetensors")
        found.append(contents(folder / "results/tiny"))
    assert len(found[0]) == (31 if gcn else 22)
    assert found[0] == found[1]
    again = snakemake(folder, "results/tiny/epochs/003/model.safetensors")
    assert "Nothing to be done" in again
    (folder / "results/tiny/epochs/002/graph.h5").unlink()
    snakemake(folder, "results/tiny/epochs/002/graph.h5")
    assert contents(folder / "results/tiny") == found[0]
    logs = {path.name for path in (folder / "results/tiny/logs/epochs").glob("*.log")}
    assert logs == {"001-002.log", "003-003.log"}


def test_one_file_alone(again):
    target = "results/tiny/epochs/001/clusters.h5"
    (again / target).unlink()
    output = snakemake(again, "--printshellcmds", "--", target)
    assert "mprd cluster --config results/tiny/config.yaml" in output
    assert (again / target).is_file()
    assert "1 of 1 steps" in output


def test_runs_and_seeds_share_what_is_equal(tmp_path, tiny_values):
    values = {
        **tiny_values,
        "epochs": 1,
        "seeds": [0, 1],
        "runs": {"hsd": {}, "plain": {"train": {"use_hsd": False, "use_ppa": False}}},
        "evaluate": {"every": 0},
    }
    folder = configure(tmp_path / "sweep", values)
    plan = planned(folder)
    assert (plan["index"], plan["pixels"], plan["init"], plan["train"]) == (1, 1, 2, 4)
    snakemake(folder, "results/summary.csv")
    results = folder / "results"
    names = ["hsd", "hsd-seed1", "plain", "plain-seed1"]
    assert sorted(p.name for p in results.iterdir() if p.is_dir()) == names
    assert len({(results / n / "pixels.h5").stat().st_ino for n in names}) == 1
    starts = [(results / n / "init/model.safetensors").read_bytes() for n in names]
    assert starts[0] == starts[2] != starts[1] == starts[3]
    ends = {(results / n / "epochs/001/model.safetensors").read_bytes() for n in names}
    assert len(ends) == 4
    summary = pd.read_csv(results / "summary.csv")
    assert summary["variant"].tolist() == ["hsd", "hsd", "plain", "plain"]
    assert summary["seeds"].tolist() == [2] * 4
    last = [pd.read_csv(results / n / "metrics.csv")["mAP"].iloc[-1] for n in names[:2]]
    assert summary["mAP"].iloc[1] == pytest.approx(sum(last) / 2, abs=1e-5)
    assert "Nothing to be done" in snakemake(folder, "results/summary.csv")


def test_mistakes_are_told_before_anything_runs(tmp_path, tiny_values):
    folder = configure(tmp_path / "typo", {**tiny_values, "cluster": {"epss": 0.5}})
    output = snakemake(folder, check=False)
    assert "unknown key `cluster.epss`, did you mean `cluster.eps`?" in output
    assert "Traceback" not in output
    assert not (folder / "results").exists()


def test_a_failing_stage_shows_its_sentence(tmp_path, tiny_values):
    values = {**tiny_values, "data": {**tiny_values["data"], "root": str(tmp_path / "nowhere")}}
    folder = configure(tmp_path / "missing", values)
    output = snakemake(folder, "--show-failed-logs", check=False)
    assert "mprd: error:" in output
    assert "bounding_box_train" in output, "the expected tree is shown"
    assert not list(folder.rglob("index.h5"))


def test_config_option_goes_over_the_file(again):
    output = snakemake(again, "--dry-run", "--config", "epochs=3")
    assert "results/tiny/epochs/003/model.safetensors" in output


def test_command_line_config_replaces_the_demo(finished):
    """No key of config/config.yaml leaks into a config given with --configfile."""
    text = (finished[0] / "results/tiny/config.yaml").read_text()
    config = yaml.safe_load(text)
    demo = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    assert config["graph"]["backend"] == "auto"
    assert config["data"]["dataset"] == "market1501" != demo["data"]["dataset"]
    assert list(config["runs"]) == ["tiny"]


def test_graph_of_many_epochs_is_planned(tmp_path, tiny_values):
    folder = configure(tmp_path / "long", {**tiny_values, "epochs": 200})
    plan = planned(folder)
    assert plan["train"] == 200


def test_profiles_are_found():
    assert (ROOT / "profiles/default/config.yaml").is_file()
    assert shutil.which("snakemake") or Path(sys.executable).with_name("snakemake").is_file()
