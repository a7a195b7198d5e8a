"""What `mprd run` shows below the lines of the stages."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from mprd.cli.console import last_line, relay
from mprd.cli.interrupts import Stopped

# Snakemake, as far as it matters: an interrupt is not passed on, and jobs are waited for.
WAITING = """
import subprocess, sys
job = "import time; print('job', flush=True); time.sleep(600)"
job = subprocess.Popen([sys.executable, "-c", job])
try:
    job.wait()
except KeyboardInterrupt:
    job.wait()
    print('cleaned up', flush=True)
"""
RUN = """
import sys
from mprd.cli.console import relay
from mprd.cli.interrupts import Stopped, listening
try:
    with listening():
        relay([sys.executable, "-c", sys.argv[1]], [], lambda: None)
except Stopped as stopped:
    sys.exit(stopped.exit_code)
"""


def test_the_newest_log_is_shown(tmp_path):
    assert last_line([tmp_path]) == ""
    for number, name in enumerate(("index", "epochs/003/train")):
        path = tmp_path / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"first\nstep {number}\n")
        os.utime(path, (number, number))
    assert last_line([tmp_path]) == "epochs/003/train: step 1"
    (tmp_path / "empty.log").touch()
    assert last_line([tmp_path]) == "empty"
    (tmp_path / "gone.log").symlink_to(tmp_path / "removed")  # as between listing and opening
    assert last_line([tmp_path]) == "empty"
    for path in [path for path in tmp_path.rglob("*.log") if path.exists()]:
        path.unlink()
    assert last_line([tmp_path]) == ""


def test_the_status_of_the_command_is_returned_and_figures_are_looked_at(capfd):
    looks = []
    code = "import sys, time; print('hello'); time.sleep(1.2); sys.exit(3)"
    assert relay([sys.executable, "-c", code], [], lambda: looks.append(1)) == 3
    assert capfd.readouterr().out == "hello\n"
    assert len(looks) >= 3  # at half a second, at one, at the end


def test_on_a_terminal_the_lines_stay(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    looks = []
    code = "print('[bold]hello[/bold]'); raise SystemExit(4)"
    assert relay([sys.executable, "-c", code], [], lambda: looks.append(1)) == 4
    assert "[bold]hello[/bold]\n" in capsys.readouterr().out
    assert looks


def lives(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE  # of an orphan nobody may have taken note
    except psutil.NoSuchProcess:
        return False


def wait_for(word, log):
    end = time.monotonic() + 60
    while word not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


@pytest.fixture
def run(tmp_path):
    """A run, in a session without a terminal, whose job has begun; its log; what is below it."""
    log = tmp_path / "log"
    with log.open("w") as out:
        run = subprocess.Popen(
            [sys.executable, "-c", RUN, WAITING], stdout=out, stderr=out, start_new_session=True
        )
    wait_for("job", log)
    below = psutil.Process(run.pid).children(recursive=True)
    assert len(below) == 2
    yield run, log.read_text, below
    for process in [run, *filter(lives, below)]:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_all", [False, True])
def test_nothing_lives_on_below_a_run_that_is_stopped(number, to_all, run):
    run, said, below = run
    if to_all:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    assert run.wait(60) == 128 + number, said()
    assert not any(lives(process) for process in below)
    if number == signal.SIGINT or not to_all:
        assert said().endswith("cleaned up\n")


def test_a_second_signal_leaves_nothing_behind_either(run):
    """Of the first one only this process knows; the second comes while it waits."""
    run, said, below = run
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 128 + signal.SIGINT, said()
    assert not any(lives(process) for process in below)


def test_ctrl_c_on_a_terminal_is_not_repeated(tmp_path):
    """Else what Snakemake does at its end, such as to cancel jobs, would be interrupted."""
    log = tmp_path / "log"
    slow = WAITING.replace("print('cleaned", "import time; time.sleep(4); print('cleaned")
    keyboard, terminal = os.openpty()
    with log.open("w") as out:
        run = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-c", RUN, slow],
            stdin=terminal,
            stdout=out,
            stderr=out,
        )
    wait_for("job", log)
    begin = time.monotonic()
    os.write(keyboard, b"\x03")
    assert run.wait(60) == 128 + signal.SIGINT, log.read_text()
    os.close(keyboard)
    os.close(terminal)
    assert log.read_text().endswith("cleaned up\n")
    assert time.monotonic() - begin > 4, "it was slow"


def test_a_child_that_nobody_reads_says_nothing_more():
    with pytest.raises(Stopped) as stopped:
        relay(["sh", "-c", "kill -PIPE $$"], [], lambda: None)
    assert stopped.value.signal is signal.SIGPIPE
