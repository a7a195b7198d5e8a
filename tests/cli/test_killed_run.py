"""`kill -9` of `mprd run`: Snakemake and the stages below it end, too, and the run goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.cli.test_console import lives, wait_for
from tests.faults.kills import require_gone, stages
from tests.stage_server import environment, python
from tests.workflow.runs import contents

ROOT = Path(__file__).parents[2]
FRONT = """
import sys
from mprd.cli.console import relay
relay([sys.executable, "-m", "mprd.pipeline.snakemake_process", *sys.argv[1:]], [], lambda: None)
"""
# Snakemake, as far as it matters: `main` starts a job in a shell, and waits for it.
SNAKEMAKE = """
import os, subprocess, sys, time
{first}
def main():
    job = "import signal, sys, time; {job}; print('job', sys.stdin.read(), flush=True); "
    job += "time.sleep(600)"
    job = subprocess.Popen(["bash", "-c", sys.executable + ' -c "' + job + '"; true'])
    try:
        {wait}
    except KeyboardInterrupt:
        job.wait()
        print('cleaned up', flush=True)
"""
USUAL = {"first": "", "job": "pass", "wait": "job.wait()"}
KINDS = {
    "usual": USUAL,
    "a job that does not end": USUAL | {"job": "signal.signal(signal.SIGTERM, signal.SIG_IGN)"},
    "Snakemake that does not listen for a while": USUAL | {"wait": "[job.wait(), time.sleep(2)]"},
    "Snakemake while it is imported": USUAL
    | {"first": "print('job', flush=True); time.sleep(600)"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_below_a_killed_run_ends(kind, tmp_path):
    (tmp_path / "snakemake").mkdir()
    (tmp_path / "snakemake/__init__.py").touch()
    (tmp_path / "snakemake/cli.py").write_text(SNAKEMAKE.format(**KINDS[kind]))
    log = tmp_path / "log"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with log.open("w") as out:
        run = subprocess.Popen(
            [sys.executable, "-c", FRONT],
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
        )
    wait_for("job", log)
    below = psutil.Process(run.pid).children(recursive=True)
    assert below
    run.kill()
    run.wait()
    try:
        require_gone(below)
    finally:
        for one in filter(lives, below):
            one.kill()
    assert "Traceback" not in log.read_text()


def start(config, target, program=sys.executable, **variables):
    return subprocess.Popen(
        [program, "-m", "mprd.cli", "run", config.name, "--cores", "1", "--", target],
        cwd=config.parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def test_a_run_whose_first_process_is_killed_goes_on(tiny_yaml, tmp_path):
    """Within a stage, twice; then the same command ends with the bytes of an undisturbed run."""
    target, run = "results/tiny/init/model.safetensors", tmp_path / "results/tiny"
    for stage in ("index", "init"):
        process = start(tiny_yaml, target)
        end = time.monotonic() + 120
        while stage not in [name for _, name in stages(psutil.Process(process.pid))]:
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < end
            time.sleep(0.02)
        below = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        require_gone(below)
    again = start(tiny_yaml, target, python(), **environment())
    said, _ = again.communicate()
    assert again.returncode == 0, said
    assert "waiting" not in "".join(log.read_text() for log in tmp_path.rglob("*.log"))
    assert not [*tmp_path.rglob("*.partial")]
    disturbed = contents(run)
    assert "init/model.safetensors" in disturbed
    run.rename(tmp_path / "disturbed")
    whole = start(tiny_yaml, target, python(), **environment())
    said, _ = whole.communicate()
    assert whole.returncode == 0, said
    assert contents(run) == disturbed
