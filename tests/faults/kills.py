"""Kill a run at random moments, resume it as documented, compare the bytes: `make test-kills`.

Each chain is one run from the start to the end. At random moments (in chains of odd seeds: within
each stage in turn, if it is not over yet) a stage, `mprd run` (all below it ends, too), both it and
Snakemake (their stage lives on), or everything is killed with SIGKILL, or Snakemake gets SIGTERM or
Ctrl-C; then the same command goes on, beside the orphan if there is one. At the end all
results must have the bytes of a run that nobody disturbed, nothing half-written may be left, and no
file may have been made again but those of interrupted jobs.
"""

import argparse
import base64
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import yaml

from mprd.config import merge
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES as TABLE
from tests.cli.test_console import lives
from tests.conftest import TINY, draw_market
from tests.workflow.runs import GCN, contents

ROOT = Path(__file__).parents[2]
WAYS = ("stage", "front", "snakemake", "everything", "terminate", "interrupt")
# Their commands, in the order in which a run comes to them.
STAGES = tuple(
    dict.fromkeys(one.command or one.name for one in TABLE if one.place is not Place.DATA)
)
RUN = Path("results/tiny")
NOTES = {".running.json", "contents.json"}  # of a workflow on itself: they hold times
_PATIENCE, _SOON = 900, 20  # seconds


@dataclass
class Chain:
    """What happened to one run.

    Attributes:
        moments: way and stage that was running, of each kill.
        wrong: sentences about what must not be.
    """

    moments: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def configured(folder: Path, values: dict) -> Path:
    """Write images and a config."""
    folder.mkdir()
    data = {"data": {"root": str(draw_market(folder / "images"))}}
    (folder / "config.yaml").write_text(yaml.safe_dump(merge(values, data)))
    return folder


def command(*arguments: str) -> list[str]:
    mprd = [sys.executable, "-m", "mprd.cli", "run", "config.yaml"]
    return [*mprd, "--cores", "2", *arguments]


def start(folder: Path) -> subprocess.Popen:
    log = (folder / "output.log").open("ab")
    return subprocess.Popen(
        command(), cwd=folder, stdout=log, stderr=log, start_new_session=True, env=environment()
    )


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def finish(folder: Path) -> None:
    """Resume as documented, to the end."""
    done = call(folder)
    assert done.returncode == 0, done.stdout + done.stderr


def below(process: psutil.Process) -> list[tuple[psutil.Process, list[str]]]:
    """Return the processes below a run, and their command lines; some end meanwhile."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                found.append((child, child.cmdline()))
    return found


def stages(process: psutil.Process) -> list[tuple[psutil.Process, str]]:
    """Return the stages below a run (`mprd <stage> ...`, but `mprd run`) and their names."""
    return [
        (child, line[2])
        for child, line in below(process)
        if any(part.endswith("/mprd") for part in line[:3])
        and "snakemake" not in line[0]
        and len(line) > 2
    ]


def snakemakes(process: psutil.Process) -> list[psutil.Process]:
    return [child for child, line in below(process) if "snakemake" in " ".join(line[:4])]


def shoot(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def require_gone(processes: list[psutil.Process]) -> None:
    """Check that processes end soon; psutil would also wait for somebody to take note of it."""
    end = time.monotonic() + _SOON
    while living := [one for one in processes if lives(one)]:
        assert time.monotonic() < end, living
        time.sleep(0.05)


def incomplete(folder: Path) -> set[str]:
    """Return the files that Snakemake knows to be unfinished."""
    names = (folder / ".snakemake/incomplete").glob("*")
    return {base64.b64decode(path.name).decode() for path in names if path.is_file()}


def times(folder: Path) -> dict[str, int]:
    results = folder / "results"
    kept = (p for p in results.rglob("*") if p.is_file() and p.suffix in (".h5", ".json", ".pt"))
    kept = [*kept, *results.rglob("*.safetensors")]
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime_ns
        for path in kept
        if not path.is_symlink() and path.name not in NOTES
    }


def kill(run: subprocess.Popen, way: str) -> str:
    """Kill in one way; return the stage that was running."""
    process = psutil.Process(run.pid)
    running, others = stages(process), [one for one, _ in below(process)]
    stage = "+".join(sorted({name for _, name in running})) or "none"
    if way == "stage" and running:
        shoot([one for one, _ in running])
    elif way == "front":
        process.kill()
    elif way == "snakemake":
        shoot([*snakemakes(process), process])
    elif way == "terminate":
        run.send_signal(signal.SIGTERM)
    elif way == "interrupt":
        os.killpg(run.pid, signal.SIGINT)
    else:
        shoot([process, *(child for child, _ in below(process))])
    try:
        run.wait(_PATIENCE)  # without one stage Snakemake goes on with what does not need it
    except subprocess.TimeoutExpired:
        raise AssertionError(f"{way} in {stage}: the run did not end") from None
    if way == "front":
        require_gone(others)
    if way in ("terminate", "interrupt"):
        assert not any(lives(one) for one, _ in running), f"{way} in {stage}: a stage lives on"
    return stage


def disturb(
    folder: Path, reference: dict[str, str], seconds: float, seed: int, kills: int
) -> Chain:
    """Take one run through its kills and compare its end with the reference."""
    rng, chain = random.Random(seed), Chain()
    aims = iter(STAGES if seed % 2 else [None] * kills)
    for aim in aims:
        before = times(folder)
        allowed = incomplete(folder)
        run = start(folder)
        if aim is None:
            time.sleep(rng.uniform(1.5, seconds / kills + 6))
        else:
            wait_for(aim, run)
            time.sleep(rng.uniform(0, 1))
        if run.poll() is not None:
            break
        way = rng.choice(WAYS)
        chain.moments.append((way, kill(run, way)))
        chain.wrong += remade(before, folder, allowed)
    before, allowed = times(folder), incomplete(folder)
    finish(folder)
    chain.wrong += remade(before, folder, allowed)
    chain.wrong += [f"left behind: {p}" for p in (folder / "results").rglob("*.partial")]
    found = contents(folder / RUN)
    chain.wrong += [
        f"other bytes: {name}"
        for name in sorted(reference.keys() | found.keys())
        if reference.get(name) != found.get(name) and Path(name).name not in NOTES
    ]
    return chain


def wait_for(stage: str, run: subprocess.Popen) -> None:
    """Wait until a stage or one that comes after it is running, or the run is over."""
    # Baselines are evaluated at any time.
    later = (name for name in STAGES[STAGES.index(stage) :] if name != "evaluate")
    process, wanted = psutil.Process(run.pid), {stage, *later}
    while run.poll() is None and not any(name in wanted for _, name in stages(process)):
        time.sleep(0.02)


def remade(before: dict[str, int], folder: Path, allowed: set[str]) -> list[str]:
    """Return the files that were made again although their job was complete."""
    after = times(folder)
    return [
        f"made again: {name}"
        for name, when in before.items()
        if name not in allowed and after.get(name) not in (when, None)
    ]


def values(epochs: int) -> dict:
    return merge(merge(TINY, GCN), {"epochs": epochs, "evaluate": {"every": 0}})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=6)
    parser.add_argument("--kills", type=int, default=8, help="of a chain with an even seed")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="seed of the first chain")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="mprd-kills-"))
    whole = configured(work / "whole", values(options.epochs))
    begin = time.perf_counter()
    finish(whole)
    seconds = time.perf_counter() - begin
    reference = contents(whole / RUN)
    print(f"undisturbed: {seconds:.0f} s, {len(reference)} files", flush=True)
    met, wrong = Counter(), []
    for seed in range(options.first, options.first + options.chains):
        folder = work / f"chain-{seed}"
        folder.mkdir()
        # The images are those of the reference: their place is part of the index.
        shutil.copy(whole / "config.yaml", folder)
        chain = disturb(folder, reference, seconds, seed, options.kills)
        met.update(chain.moments)
        wrong += chain.wrong
        print(f"chain {seed}: {len(chain.moments)} kills, {len(chain.wrong)} wrong", flush=True)
        print("\n".join(chain.wrong), flush=True)
    for (way, stage), count in sorted(met.items()):
        print(f"{count:4d}  {way:10s} {stage}")
    print(f"{sum(met.values())} kills, {len(wrong)} things wrong")
    shutil.rmtree(work)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
