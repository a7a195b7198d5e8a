"""The workflow end to end on tiny data: what runs, what is run again, and the same bytes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from mprd.config import load_config, merge
from mprd.pipeline.layout import RunLayout
from mprd.stages.needs import stage_needs
from tests.workflow.runs import ROOT, TOGETHER, configure, contents, planned, snakemake


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
        "report.html",
        "start/clusters.csv",
        "final/clusters.csv",
        "final/embeddings.h5",
        "logs/epochs/001/train.log",
        "benchmarks/epochs/001/train.tsv",
    ]:
        assert (run / name).is_file(), name
    table = pd.read_csv(run / "metrics.csv", dtype={"model": str})
    assert table["model"].tolist() == ["histogram", "random", "init", "1", "2", "3"]
    assert table["mAP"].notna().all()
    assert "rank-1" in output, "the table is printed at the end"
    assert not list(run.rglob("*.partial"))
    locks = (folder / "results").rglob(".*.lock")
    assert {path.name for path in locks} == {".running.lock"}


def test_a_second_call_has_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished[0])


def test_status_tells_what_a_change_makes_stale(finished, tmp_path, cli, monkeypatch):
    folder, _ = finished
    monkeypatch.chdir(folder)
    changed = merge(yaml.safe_load((folder / "config.yaml").read_text()), {"train": {"lr": 0.5}})
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(changed))

    def stale(config, run="results/tiny"):
        code, out, err = cli("status", run, "--stale", config, "--json")
        return json.loads(out)["stale"] if code == 0 else err

    assert stale(folder / "config.yaml") == {}
    found = stale(tmp_path / "changed.yaml")
    assert found["results/tiny/epochs/001/model.safetensors"] == "changed: train.lr"
    assert found["results/tiny/epochs/002/features.h5"] == "follows from others"
    assert "results/tiny/epochs/001/clusters.h5" not in found
    assert stale(tmp_path / "changed.yaml", str(folder / "results/tiny")) == found
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump({**changed, "runs": {"other": {}}}))
    assert "makes no file in results/tiny" in stale(tmp_path / "changed.yaml")


def test_deleting_middle_artifacts_gives_the_same_bytes(again):
    run = again / "results/tiny"
    before = contents(run)
    middle = ["epochs/001/graph.h5", "epochs/002/clusters.h5", "epochs/001/features.h5"]
    for name in middle:
        (run / name).unlink()
    assert "Nothing to be done" in snakemake(again), "finished results stay without them"
    snakemake(again, *(f"results/tiny/{name}" for name in middle))
    assert contents(run) == before
    shutil.rmtree(run / "epochs/003")
    (run / "epochs/002/clusters.h5").unlink()
    (run / "final/clusters.csv").unlink()
    snakemake(again)
    assert contents(run) == before


def test_a_fresh_run_gives_the_same_bytes(finished, tmp_path, tiny_values):
    values = {**tiny_values, "evaluate": {"every": 0}, "epochs_per_job": 2}
    folder = configure(tmp_path / "fresh", values)
    snakemake(folder, "results/tiny/epochs/002/model.safetensors", fresh=True)
    fresh = contents(folder / "results/tiny")
    before = contents(finished[0] / "results/tiny")
    assert len(fresh) >= 14
    assert fresh == {name: before[name] for name in fresh}


def test_the_relation_gcn_beside_a_plain_run(again):
    """One DAG of both kinds of runs; the GCN is passed on, and made again byte for byte."""
    results = again / "results"
    for name in [
        "gcn/metadata.h5",
        "gcn/pretrained.safetensors",
        "gcn/metrics.json",
        "epochs/001/gcn.safetensors",
        "epochs/002/relations.h5",
    ]:
        assert (results / "gcn" / name).is_file(), name
        assert not (results / "tiny" / name).exists(), name
    table = pd.read_csv(results / "gcn/metrics.csv", dtype={"model": str})
    assert table.set_index("model")["pos_prec"]["1"] > 0
    before = contents(results / "gcn")
    assert len([name for name in before if "gcn" in name or "relations" in name]) == 12
    # Of epoch 1 all is made again that the pre-trained GCN decides.
    kept = ("features.h5", "graph.h5", "transitions.h5", "ranks.h5", "drafts.h5")
    for path in (results / "gcn/epochs/001").iterdir():
        if path.name not in kept:
            path.unlink()
    for name in ("epochs/002", "epochs/003", "gcn"):
        shutil.rmtree(results / "gcn" / name)
    targets = [f"results/gcn/epochs/00{e}/model.safetensors" for e in (1, 2, 3)]
    snakemake(again, *targets, "results/gcn/epochs/003/gcn.safetensors")
    assert contents(results / "gcn") == before


@pytest.mark.parametrize(("run", "count"), [("tiny", 22), ("gcn", 49)])
def test_several_epochs_in_a_job_give_the_same_bytes(again, values, run, count):
    results = again / "results"
    before = {n: d for n, d in contents(results / run).items() if trained(n)}
    assert len(before) == count
    together = results / f"{run}-job"
    found = {name: digest for name, digest in contents(together).items() if trained(name)}
    assert found == before
    (together / "epochs/002/graph.h5").unlink()
    configure(again, {**values, "runs": TOGETHER})
    snakemake(again, f"results/{run}-job/epochs/002/graph.h5")
    assert {n: d for n, d in contents(together).items() if trained(n)} == before
    logs = {path.name for path in (together / "logs/epochs").glob("*.log")}
    assert logs == {"001-002.log", "003-003.log"}


def trained(name: str) -> bool:
    """Tell whether a file of a run is an input of its last model, or that model."""
    return name in ("index.h5", "pixels.h5") or name.startswith(("init/", "gcn/", "epochs/"))


def test_one_file_alone(again):
    target = "results/tiny/epochs/001/clusters.h5"
    (again / target).unlink()
    output = snakemake(again, "--printshellcmds", "--", target)
    assert "mprd cluster --config results/tiny/config.yaml" in output
    assert (again / target).is_file()
    assert "1 of 1 steps" in output


def test_runs_and_seeds_share_what_is_equal(tmp_path, tiny_values, market):
    crops = market / "market1501/Market-1501-v15.09.15/bounding_box_train"
    values = {
        **tiny_values,
        # Unlabelled crops: nothing is evaluated, which would take half of the time.
        "data": {**tiny_values["data"], "dataset": "folder", "root": str(crops)},
        "epochs": 1,
        "seeds": [0, 1],
        "runs": {"hsd": {}, "plain": {"train": {"use_hsd": False, "use_ppa": False}}},
    }
    folder = configure(tmp_path / "sweep", values)
    plan = planned(folder)
    assert (plan["index"], plan["pixels"], plan["init"], plan["train"]) == (1, 1, 2, 4)
    snakemake(folder, "results/summary.csv")
    results = folder / "results"
    names = ["hsd", "hsd-seed1", "plain", "plain-seed1"]
    assert sorted(p.name for p in results.iterdir() if p.is_dir()) == [*names, "shared"]
    assert len({(results / n / "pixels.h5").stat().st_ino for n in names}) == 1
    starts = [(results / n / "init/model.safetensors").read_bytes() for n in names]
    assert starts[0] == starts[2] != starts[1] == starts[3]
    ends = {(results / n / "epochs/001/model.safetensors").read_bytes() for n in names}
    assert len(ends) == 4
    summary = pd.read_csv(results / "summary.csv")
    assert summary["variant"].tolist() == ["hsd", "plain"]
    assert summary["seeds"].tolist() == [2, 2]
    last = [pd.read_csv(results / n / "metrics.csv")["loss"].iloc[-1] for n in names[:2]]
    assert summary["loss"].iloc[0] == pytest.approx(sum(last) / 2, rel=1e-4)
    assert "Nothing to be done" in snakemake(folder, "results/summary.csv")


def test_mistakes_are_told_before_anything_runs(tmp_path, tiny_values):
    folder = configure(tmp_path / "typo", {**tiny_values, "cluster": {"epss": 0.5}})
    output = snakemake(folder, check=False)
    assert "unknown key `cluster.epss`, did you mean `cluster.eps`?" in output
    assert "Traceback" not in output
    (folder / "config.yaml").write_text("epochs: 010\n")
    assert "`010` in line 1 is the number 8" in snakemake(folder, check=False)
    assert not (folder / "results").exists()


def test_a_failing_stage_shows_its_sentence(tmp_path, tiny_values):
    values = {**tiny_values, "data": {**tiny_values["data"], "root": str(tmp_path / "nowhere")}}
    folder = configure(tmp_path / "missing", values)
    output = snakemake(folder, "--show-failed-logs", check=False)
    assert "mprd: error:" in output
    assert "bounding_box_train" in output, "the expected tree is shown"
    assert not list(folder.rglob("index.h5"))


def test_config_option_goes_over_the_file(again):
    output = snakemake(again, "--dry-run", "--config", "epochs=4")
    assert "results/tiny/epochs/004/model.safetensors" in output


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


@pytest.mark.parametrize("run", ["tiny", "gcn"])
def test_stages_need_no_more_than_is_told_to_a_batch_system(finished, run):
    """What each stage said of itself, against the estimate that is made before it runs."""
    layout = RunLayout(finished[0] / "results" / run)
    needs = stage_needs(layout.index, load_config(layout.config))
    seen = set()
    for log in layout.folder.rglob("logs/**/*.log"):
        for stage, gib in re.findall(r"mprd (\w+): needs about ([\d.]+) GiB", log.read_text()):
            assert float(gib) * 2**30 <= needs[stage].memory * 1.01, (stage, log)
            seen.add(stage)
        step = pd.read_csv(path, sep="\t") if (path := benchmark_of(log)).is_file() else None
        if step is not None and log.stem in needs:
            assert step["s"].max() < min(needs[log.stem].seconds, needs[log.stem].gpu_seconds)
    assert seen >= {"features", "graph", "cluster", "train", "evaluate"}
    assert ({"ranks", "judge"} <= seen) == (run == "gcn")


def benchmark_of(log: Path) -> Path:
    return Path(str(log).replace("/logs/", "/benchmarks/")).with_suffix(".tsv")


def test_a_limit_of_memory_is_kept_here_too(again):
    """Without one nobody is asked; with one each job says what its stage needs."""
    plan = snakemake(again, "--dry-run", "--forceall")
    assert set(re.findall(r" mem_mb=(\d+)", plan)) == {"0"}
    limit = ["--resources", "device=2", "mem_mb=9000"]
    plan = snakemake(again, "--dry-run", "--forceall", *limit)
    blocks = re.findall(r"^rule (\w+):.*? mem_mb=(\d+)", plan, re.MULTILINE | re.DOTALL)
    asked = {rule: int(mib) for rule, mib in blocks}
    layout = RunLayout(again / "results/tiny")
    train = stage_needs(layout.index, load_config(layout.config))["train"].memory / 2**20
    assert asked["train"] == pytest.approx(train + 512, abs=2)


def test_profiles_are_found():
    assert (ROOT / "profiles/default/config.yaml").is_file()
    assert shutil.which("snakemake") or Path(sys.executable).with_name("snakemake").is_file()
