"""A run on a real SLURM: the bytes of a local run, what jobs ask for, and what goes wrong."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mprd.config import load_config
from mprd.pipeline.files import files_written
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.stages import stage
from mprd.stages.needs import stage_needs
from tests.cluster.slurm import jobs, said
from tests.workflow.runs import ROOT, contents

VALUES = {
    "runs": {"run": {}},
    "epochs": 2,
    "data": {
        "dataset": "synthetic",
        "root": "data",
        "height": 64,
        "width": 32,
        "synthetic": {"train_identities": 12, "test_identities": 6},
    },
    "model": {"backbone": "mini"},
    "init": {"method": "random"},
    "graph": {"k1": 12, "eps_max": 0.7},
    "cluster": {"eps": 0.6, "min_samples": 2},
    "train": {"iters": 4, "identities": 4, "instances": 4},
    "evaluate": {"every": 0},
}
OWN_MEMORY = 512  # MiB, of the Snakemake inside a job
# One thread: the bytes of a run with another number of threads differ.
HERE = ["--max-threads", "1"]
SLURM = [
    *("--workflow-profile", str(ROOT / "workflow/profiles/slurm")),
    *("--slurm-no-account", "--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"),
]


def begin(folder: Path, *options: str) -> subprocess.Popen:
    (folder / "config.yaml").write_text(yaml.safe_dump(VALUES))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", "config.yaml", *HERE, *options]
    log = (folder / "said.log").open("w")
    # A shell lets what it starts in the background ignore Ctrl-C, and so would these.
    listen = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, preexec_fn=listen)


def run(folder: Path, *options: str) -> tuple[int, str]:
    process = begin(folder, *options)
    process.wait(timeout=600)
    return process.returncode, (folder / "said.log").read_text()


def wait_for(condition, seconds: float = 120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def since(first: int) -> list[dict[str, str]]:
    """Jobs submitted after the first ones."""
    return jobs()[first:]


def running(first: int, rule: str) -> str | None:
    found = [j for j in since(first) if j["rule"] == rule and j["JobState"] == "RUNNING"]
    return found[0]["JobId"] if found else None


def mebibytes(job: dict[str, str]) -> int:
    text = job["MinMemoryNode"]
    return round(float(text[:-1]) * {"M": 1, "G": 1024}[text[-1]])


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    folder = tmp_path_factory.mktemp("local")
    code, text = run(folder, "--cores", "1")
    assert code == 0, text
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on the cluster, and the jobs that it submitted."""
    folder, before = tmp_path_factory.mktemp("slurm"), len(jobs())
    code, text = run(folder, *SLURM)
    assert code == 0, text
    return folder, since(before)


@pytest.fixture
def nearly(local, tmp_path):
    """A run that lacks its last training, and what follows."""
    folder = Path(shutil.copytree(local, tmp_path / "nearly"))
    run = RunLayout(folder / "results/run")
    for path in files_written(stage("train"), run, 2, load_config(run.config)).values():
        path.unlink()
    return folder


def test_the_bytes_are_those_of_a_local_run(local, finished):
    here, there = (contents(folder / "results/run") for folder in (local, finished[0]))
    assert len(here) > 20
    assert there == here


def test_jobs_ask_for_what_their_stage_needs(finished):
    folder, submitted = finished
    run_folder = folder / "results/run"
    needs = stage_needs(run_folder / "index.h5", load_config(run_folder / "config.yaml"))
    rules = [job["rule"] for job in submitted]
    assert len(submitted) == 20, "none is tried twice"
    assert {"synthesize", "index", "report", "table", *needs} - {"epoch"} == set(rules)
    for job in submitted:
        rule = job["rule"]
        assert job["NumCPUs"] == "1"
        on_gpu = rule in {"init", "features", "graph", "train", "evaluate", "export"}
        assert on_gpu == stage(rule).device
        assert ("gres:gpu:1" in job.get("TresPerJob", "")) == on_gpu, (rule, job)
        if rule in needs:
            memory, seconds = needs[rule].memory, needs[rule].gpu_seconds
            assert mebibytes(job) == -(-memory // 2**20) + OWN_MEMORY, rule
            hours, minutes, _ = map(int, job["TimeLimit"].split(":"))
            assert 60 * hours + minutes == -(-seconds // 60), rule


def test_a_killed_job_is_submitted_once_more_with_more(nearly):
    before = len(jobs())
    process = begin(nearly, *SLURM)
    victim = wait_for(lambda: running(before, "train"), 300)
    said("scancel", "--signal=KILL", "--full", victim)
    assert process.wait(timeout=600) == 0, (nearly / "said.log").read_text()
    tries = [job for job in since(before) if job["rule"] == "train"]
    assert len(tries) == 2
    assert tries[0]["JobState"] != "COMPLETED"
    first, second = map(mebibytes, tries)
    assert second == 2 * first


@pytest.mark.parametrize(
    ("given", "who", "words"),
    [(200, "slurm_logs", "memory limit"), (900, "logs", "Stage train needs about")],
)
def test_a_job_with_too_little_memory_says_so(nearly, given, who, words):
    """SLURM stops it; or the stage itself, before it begins, if it can see what it got."""
    before = RunLayout(nearly / "results/run").epoch(1)
    kept = before.model.read_bytes()
    small = ["--set-resources", f"train:mem_mb={given}", "--retries", "0"]
    code, text = run(nearly, *SLURM, *small)
    assert code != 0
    job = jobs()[-1]
    said_there = Path(job["StdOut"]).read_text()
    log = (nearly / "results/run/logs/epochs/002/train.log").read_text()
    assert words in (said_there if who == "slurm_logs" else log), (text, said_there, log)
    assert job["StdOut"] in text, "the file that says so is named"
    assert not RunLayout(nearly / "results/run").epoch(2).model.exists()
    assert before.model.read_bytes() == kept


def test_what_is_cancelled_leaves_no_orphan(nearly):
    before = len(jobs())
    process = begin(nearly, *SLURM)
    wait_for(lambda: running(before, "train"), 300)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) != 0
    wait_for(lambda: said("squeue", "--noheader") == "", 60)
    wait_for(lambda: not processes_in(nearly), 30)
    code, text = run(nearly, *SLURM)  # goes on where it stopped
    assert code == 0, text


def processes_in(folder: Path) -> list[str]:
    """Command lines of stages that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where, command = (process / "cwd").resolve(), (process / "cmdline").read_text()
        except OSError:
            continue  # it has just ended
        if where == folder and "mprd" in command:
            found.append(command)
    return found
