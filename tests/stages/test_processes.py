"""Stages in several processes, by their commands: the same results; a lost process stops all."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from mprd.artifacts import read_json
from mprd.cli.interrupts import Stopped
from mprd.config import dump_yaml
from mprd.errors import FINAL
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES
from mprd.stages.run_stage import run_stage
from tests.stage_server import python
from tests.stages.pipeline import changed, export, label, start, train
from tests.stages.pipeline import command as stage_command
from tests.training.test_sharing import environment
from tests.workflow.runs import GCN


@pytest.fixture(scope="module")
def config(tiny_config):
    return changed(tiny_config, model={"bn_group_size": 4}, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def run(tmp_path_factory, config):
    """A run before its first training."""
    folder = tmp_path_factory.mktemp("shared")
    start(folder, config)
    label(folder, 1, config)
    return RunLayout(folder)


def command(stage: str, run: RunLayout, config: Path, *options: object) -> list[str]:
    given = ["--config", config, "--index", run.index, "--pixels", run.pixels, "--threads", 2]
    return [python(), "-m", "mprd.cli", stage, *map(str, [*given, *options])]


def training(run: RunLayout, config: Path, out: Path) -> list[str]:
    first = run.epoch(1)
    given = ["--features", first.features, "--clusters", first.clusters]
    given += ["--model", run.initial_model, "--epoch", 1, "--out", out]
    return command("train", run, config, *given)


def written(path: Path, config, **values) -> Path:
    path.write_text(dump_yaml(changed(config, **values)))
    return path


def test_two_processes_do_the_work_of_one(run, config, tmp_path):
    for processes in (1, 2):
        file = written(tmp_path / f"{processes}.yaml", config, processes=processes)
        out = tmp_path / str(processes)
        embed = command("features", run, file, "--model", run.initial_model, "--out", f"{out}.h5")
        for line in (embed, training(run, file, out)):
            done = subprocess.run(line, env=environment(), capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert done.stdout.count("steps in") == (line[3] == "train"), "one of them speaks"
    alone, shared = (h5py.File(tmp_path / f"{n}.h5") for n in (1, 2))
    assert alone.attrs["digest"] == shared.attrs["digest"]
    np.testing.assert_array_equal(alone["features"], shared["features"])
    one, two = (
        read_json(tmp_path / n / "metrics.json", "mprd.metrics", "train") for n in ("1", "2")
    )
    # From the second step on, rounding tells: test_sharing.py compares them in float64.
    assert one["step_loss"][0] == pytest.approx(two["step_loss"][0], abs=1e-6)
    assert two["step_loss"] == pytest.approx(one["step_loss"], rel=0.05)


LOST = (
    "mprd: error: {} was killed ({}); the others were stopped, nothing is half-written. Run the "
    "same command again."
)


@pytest.mark.parametrize(
    ("one", "number", "code", "sentence"),
    [
        ("worker", signal.SIGKILL, 2, LOST.format("Process 2 of 2", "SIGKILL")),
        ("worker", signal.SIGTERM, 2, LOST.format("Process 2 of 2", "SIGTERM")),
        ("launcher", signal.SIGTERM, 143, f"mprd: {Stopped(signal.SIGTERM)}"),
    ],
)
def test_a_lost_process_stops_all_with_one_sentence(
    run, config, tmp_path, one, number, code, sentence
):
    out, log = tmp_path / "lost", tmp_path / "said"
    file = written(tmp_path / "c.yaml", config, processes=2, train={"iters": 1_000})
    line = [sys.executable, *training(run, file, out)[1:]]
    with log.open("w") as said:
        process = subprocess.Popen(line, env=environment(), stdout=said, stderr=said)
    end = time.monotonic() + 120
    while "epoch 1" not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
    workers = children(process.pid)
    assert len(workers) == 2
    os.kill(workers[1] if one == "worker" else process.pid, number)
    assert process.wait(timeout=60) == code
    lines = [line for line in log.read_text().splitlines() if "epoch 1:" not in line]
    assert lines[0].startswith("mprd train: needs about ")
    assert lines[1:] == [sentence]
    assert not list(out.rglob("*.safetensors")) + list(out.rglob("*.partial"))
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers), "no orphan"


def test_a_mistake_is_told_once(run, config, tmp_path):
    """All processes see it; whoever is the first stops the others, perhaps while they speak."""
    file = written(tmp_path / "c.yaml", config, processes=2)
    line = command("features", run, file, "--model", tmp_path / "none", "--out", tmp_path / "f.h5")
    done = subprocess.run(line, env=environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("mprd: error:") == 1
    assert done.stderr.endswith(
        f"error: {tmp_path}/none does not exist. Make it with `mprd init`.\n"
    )


def children(pid: int) -> list[int]:
    asked = ["pgrep", "-P", str(pid), "-f", "mprd.cli"]
    found = subprocess.run(asked, capture_output=True, text=True, check=True)
    return [int(line) for line in found.stdout.split()]


def test_epochs_and_the_end_in_two_processes(judged_config, tmp_path):
    """All that is shared, with waits between: the same features, predictions and clusters."""
    folder = tmp_path / "one"
    start(folder, judged_config)
    label(folder, 1, judged_config)
    train(folder, 1, judged_config)
    shutil.copytree(folder, tmp_path / "two")
    for processes, name in ((1, "one"), (2, "two")):
        run = RunLayout(tmp_path / name)
        file = written(tmp_path / f"{name}.yaml", judged_config, processes=processes)
        epochs = ["epochs", "--config", file, "--run", run.folder, "--first", 2, "--last", 2]
        call([python(), "-m", "mprd.cli", *map(str, epochs)])
    one, two = (RunLayout(tmp_path / name) for name in ("one", "two"))
    # The end follows epoch 1, of which both have the same bytes.
    export(one, changed(judged_config, epochs=1))
    at_the_end(two, changed(judged_config, epochs=1, processes=2))
    for path in ("features", "graph", "judgements", "clusters"):
        assert arrays(getattr(one.epoch(2), path)) == arrays(getattr(two.epoch(2), path)), path
        assert arrays(getattr(one.final, path)) == arrays(getattr(two.final, path)), path
    assert arrays(one.final.embeddings) == arrays(two.final.embeddings)
    assert one.final.table.read_bytes() == two.final.table.read_bytes()
    losses = [
        read_json(run.epoch(2).metrics, "mprd.metrics", "train")["step_loss"][0]
        for run in (one, two)
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def at_the_end(run: RunLayout, config) -> None:
    """Do the end of a run: what several processes share by its command, the rest here."""
    for one in STAGES:
        if one.place not in (Place.STEP, Place.FINAL) or not one.at_the_end(config):
            continue
        if one.shared:
            call(stage_command(one.name, run, config, FINAL))
        else:
            run_stage(one.name, run, config, step=FINAL)


def call(line: list[str]) -> None:
    done = subprocess.run(line, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def arrays(path: Path) -> dict[str, bytes]:
    with h5py.File(path) as file:
        return {key: file[key][()].tobytes() for key in file}


@pytest.fixture(scope="module")
def judged_config(config):
    return changed(config, **GCN)
