"""One workflow at a time works on a run."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import datetime

import pytest
from filelock import FileLock, Timeout

from mprd.errors import UserError
from mprd.pipeline import run_lock
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import (
    RunLock,
    hold_runs,
    lock_file,
    release_runs,
    remove_idle_locks,
)

HOLD = """
import subprocess, sys, time
from pathlib import Path
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import hold_runs
hold_runs([RunLayout(Path(sys.argv[1]))])
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""
TAKE = """
import sys
from pathlib import Path
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import RunLock
try:
    RunLock(RunLayout(Path(sys.argv[1])))
    print("taken")
except UserError as error:
    print(error)
"""


@pytest.fixture(autouse=True)
def nothing_held():
    yield
    release_runs()


@pytest.fixture
def run(tmp_path):
    layout = RunLayout(tmp_path / "results/demo")
    layout.folder.mkdir(parents=True)
    layout.config.write_text("epochs: 3\n")
    return layout


@contextmanager
def holder(run):
    """Another process that holds a run, with a stage of its own that may outlive it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        os.kill(child, signal.SIGKILL)


def take(run, **how) -> str:
    """What a process says that begins a run."""
    done = subprocess.run(
        [sys.executable, "-c", TAKE, str(run.folder)],
        capture_output=True,
        text=True,
        check=True,
        **how,
    )
    return done.stdout.strip()


def contents(run) -> dict:
    return {path.name: path.read_bytes() for path in run.folder.iterdir()}


def test_a_second_process_is_told_who_works_there(run):
    begun = datetime.now().astimezone().replace(microsecond=0)
    with holder(run) as first:
        before = contents(run)
        for _ in range(2):
            said = take(run)
            since = said.partition("since ")[2].partition(")")[0]
            assert said == (
                f"{run.folder} is in use: a workflow works there (process {first.pid} on "
                f"{os.uname().nodename}, since {since}). Wait for it, or end it there with: kill "
                f"{first.pid}. Nothing was changed."
            )
            assert begun <= datetime.fromisoformat(since) <= datetime.now().astimezone()
            assert contents(run) == before, "the second one leaves the first one's files"
        assert first.poll() is None


def test_another_way_to_the_same_run(run, tmp_path):
    (tmp_path / "link").symlink_to(run.folder.parent)
    with holder(run) as first:
        assert f"process {first.pid} on" in take(RunLayout(tmp_path / "link/demo"))


def test_the_lock_is_free_after_its_holder_was_killed(run):
    """A stage that outlives it does not hold the lock; its name is left and replaced."""
    with holder(run) as first:
        first.send_signal(signal.SIGKILL)
        first.wait()
        left = json.loads((run.folder / ".running.json").read_text())
        assert left["pid"] == first.pid
        assert take(run) == "taken"
        hold_runs([run])
        assert json.loads((run.folder / ".running.json").read_text())["pid"] == os.getpid()


def test_the_lock_is_free_after_it_was_given_back(run):
    hold_runs([run])
    assert f"process {os.getpid()} on" in take(run)
    release_runs()
    assert not (run.folder / ".running.json").exists()
    assert take(run) == "taken"
    release_runs()


def test_a_process_takes_a_run_once(run):
    hold_runs([run])
    hold_runs([run, RunLayout(run.folder.parent / "other")])
    assert len(run_lock._held) == 2
    assert f"process {os.getpid()} on" in take(run)


def test_all_runs_or_none(run):
    other = RunLayout(run.folder.parent / "other")
    with holder(run):
        with pytest.raises(UserError, match="demo is in use"):
            hold_runs([other, run])
        assert not (other.folder / ".running.json").exists()
        assert take(other) == "taken"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"pid": 3}'])
def test_a_holder_that_has_not_written_its_name_yet(run, text):
    with holder(run):
        (run.folder / ".running.json").write_text(text)
        said = take(run)
        assert said == (
            f"{run.folder} is in use: a workflow works there (another process). Wait for it, or "
            "end it. Nothing was changed."
        )
        (run.folder / ".running.json").unlink()
        assert "(another process)" in take(run)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_gives_a_note(run, monkeypatch, capsys, code):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = contents(run)
    hold_runs([run])
    assert capsys.readouterr().out == (
        f"note: {run.folder} grants no locks. Start no second run there.\n"
    )
    assert contents(run) == before | {".running.lock": b""}, "nobody is named as a holder"
    release_runs()
    assert contents(run) == before | {".running.lock": b""}


def test_locks_that_older_libraries_wait_for_in_vain(run, monkeypatch, capsys):
    """They report a file system without locks as one whose lock is taken."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    def wait(lock, timeout):
        raise Timeout(lock.lock_file)

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(FileLock, "acquire", wait)
    hold_runs([run])
    assert capsys.readouterr().out.startswith(f"note: {run.folder} grants no locks. ")


def test_a_waiting_process_is_not_kept(run):
    """A run is refused at once: nobody waits for hours without knowing."""
    with holder(run):
        began = time.monotonic()
        with pytest.raises(UserError, match="is in use"):
            RunLock(run)
        assert time.monotonic() - began < 2


def test_lock_files_that_nobody_holds_go(tmp_path):
    run = RunLayout(tmp_path / "run")
    held, idle = (run.epoch(1).folder / f".{name}.h5.lock" for name in ("graph", "clusters"))
    lock, own = RunLock(run), FileLock(held)
    idle.parent.mkdir(parents=True)
    idle.touch()
    (run.folder / "crops.lock").touch()
    with own:
        remove_idle_locks(run.folder)
        assert held.is_file()
    assert not idle.exists()
    lock.release()
    remove_idle_locks(run.folder)
    remove_idle_locks(tmp_path / "none")
    left = {path.name for path in run.folder.rglob("*.lock")}
    assert left == {"crops.lock", lock_file(run).name}
