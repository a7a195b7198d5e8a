"""Kills, signals and two at once, for single stages; whole pipelines are in kills.py."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from mprd.artifacts.locks import only_writer
from mprd.config import load_config
from mprd.pipeline.files import files_written
from mprd.pipeline.stages import stage
from tests.stage_server import python
from tests.stages.pipeline import changed, command

BEGUN = re.compile(r"epoch \d+:")


@pytest.fixture
def training(judged_run, tmp_path):
    """A run whose second epoch is not trained yet, and the command that trains it for long."""
    shutil.copytree(judged_run.folder, tmp_path / "run")
    run = type(judged_run)(tmp_path / "run")
    config = changed(load_config(run.config), train={"iters": 5_000})
    written = list(files_written(stage("train"), run, 2, config).values())
    for path in written:
        path.unlink()
    return written, command("train", run, config, 2)


class Stage:
    """A stage in a process, with what it printed so far."""

    def __init__(self, command, log):
        self.log = log
        with log.open("w") as stream:
            self.process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)

    def wait_for(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.said):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.05)

    @property
    def said(self):
        return self.log.read_text()

    def stop(self, number):
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (signal.SIGINT, 130, "mprd: stopped by Ctrl-C; nothing is half-written"),
        (signal.SIGTERM, 143, "mprd: stopped by SIGTERM; nothing is half-written"),
        (signal.SIGKILL, -9, ""),
    ],
)
def test_a_stage_that_is_stopped_leaves_nothing(training, tmp_path, number, code, message):
    written, line = training
    process = Stage(line, tmp_path / "log")
    process.wait_for(BEGUN)
    assert process.stop(number) == code
    assert message in process.said
    assert "Traceback" not in process.said
    assert not any(path.exists() for path in written)
    with only_writer(written[0]):
        pass  # the lock is free


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_interpreter_shuts_down(number):
    """As a process of a group gets it whose peer was killed: no traceback, and it ends."""
    code = f"""
import atexit, os, sys
from mprd.cli import main
atexit.register(lambda: print("went on"))
atexit.register(os.kill, os.getpid(), {int(number)})
sys.argv = ["mprd", "inspect", "none.h5"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -number
    assert re.fullmatch("mprd: error: .*\n", done.stderr)
    assert not done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_commands_are_imported(number):
    code = f"""
import os, sys

class Finder:
    def find_spec(name, path, target=None):
        if name == "mprd.cli.exchange":
            os.kill(os.getpid(), {int(number)})

sys.meta_path.insert(0, Finder)
from mprd.cli import main
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number
    assert re.fullmatch("mprd: stopped by .*; nothing is half-written, .*\n", done.stderr)


WITHIN = {
    "C that finds a result, too": """
try:
    receive()
except Stopped as stopped:
    raise SystemError("returned a result with an exception set") from stopped
""",
    "a destructor": """
class Thing:
    def __del__(self):
        receive()

thing = Thing()
del thing
time.sleep(60)
""",
    "a callback of HDF5": """
file = h5py.File(sys.argv[2], "w")
file["a"] = 1
file.visit(lambda name: receive())
time.sleep(60)
""",
}


@pytest.mark.parametrize("where", WITHIN)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_code_that_cannot_raise(tmp_path, where, number):
    """It is not lost, and gives no traceback."""
    code = f"""
import os, signal, sys, time
import h5py
from mprd.cli import app, main
from mprd.cli.interrupts import Stopped

def receive():
    os.kill(os.getpid(), {int(number)})
    time.sleep(60)

@app.command("stop")
def stop(path: str):
    exec({WITHIN[where]!r}, globals())

sys.argv = ["mprd", "stop", {str(tmp_path / "x.h5")!r}]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 128 + number, done.stderr
    assert re.fullmatch("mprd: stopped by .*; nothing is half-written, .*\n", done.stderr)


def test_a_second_stage_waits_for_an_orphan(training, tmp_path):
    """The lock covers the stage, not only its writing; a killed holder frees it."""
    _, line = training
    orphan = Stage(line, tmp_path / "first")
    orphan.wait_for(BEGUN)
    second = Stage(line, tmp_path / "second")
    second.wait_for("Another mprd process is making .*model.safetensors; waiting for it to end")
    assert not BEGUN.search(second.said)
    orphan.stop(signal.SIGKILL)
    second.wait_for(BEGUN)
    assert second.stop(signal.SIGTERM) == 143


def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_writer(tmp_path / "graph.h5"):
        (tmp_path / "graph.h5").write_text("x")
    assert "grants no locks" in capsys.readouterr().out


def test_a_reader_keeps_the_file_that_it_opened(judged_run, tmp_path):
    """A file is replaced, never changed: who reads the old one meanwhile reads it to its end."""
    from mprd.artifacts import FEATURES, open_artifact, read_artifact

    path = tmp_path / "features.h5"
    shutil.copy(judged_run.epoch(1).features, path)
    old = read_artifact(path, FEATURES)["features"]
    with open_artifact(path, FEATURES) as file:
        shutil.copy(judged_run.epoch(2).features, tmp_path / "new.h5")
        os.replace(tmp_path / "new.h5", path)
        assert (file["features"][:] == old).all()
    assert not (read_artifact(path, FEATURES)["features"] == old).all()


def test_what_a_killed_snakemake_leaves_stops_nobody(tiny_values, tmp_path):
    """Its lock on the working directory; a run's own lock goes with the process."""
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tiny_values))
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/tiny/config.yaml\n")
    (locks / "0.input.lock").write_text("")
    command = [python(), "-m", "mprd.cli", "run", "c.yaml", "--", "results/tiny/config.yaml"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "results/tiny/config.yaml").is_file()
