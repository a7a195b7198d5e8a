"""The finished workflow that the tests of this folder share, and how they run Snakemake."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import yaml

from mprd.config import merge
from tests.stage_server import environment, python

ROOT = Path(__file__).parents[2]


def snakemake(folder: Path, *args: str, check: bool = True, fresh: bool = False) -> str:
    """Run Snakemake on `folder`/config.yaml with `folder` as working directory.

    `fresh`: Snakemake and every stage start a Python of their own, as for users.
    """
    arguments = ["--snakefile", str(ROOT / "Snakefile")]
    arguments += ["--directory", str(folder), "--configfile", str(folder / "config.yaml")]
    # Two jobs of one thread beside each other: these jobs are mostly the start of a process.
    arguments += ["--resources", "device=2", "--max-threads", "1", "--cores", "2", *args]
    done = subprocess.run(
        [sys.executable if fresh else python(), "-m", "snakemake", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **({} if fresh else environment())},
        check=False,
    )
    output = done.stdout + done.stderr
    if check:
        assert done.returncode == 0, output
    return output


def copy_of_tiny(finished: Path, folder: Path) -> Path:
    """Copy what the run without the GCN has of a finished workflow, with its times."""
    (folder / "results").mkdir(parents=True)
    parts = (".snakemake", "results/shared", "results/tiny")
    for part in parts:
        subprocess.run(["cp", "-a", finished / part, folder / part], check=True)
    return folder


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
        if name.startswith("provenance/") or path.name == ".running.json":
            continue
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


GCN = {
    "use_gcn": True,
    "use_time": True,
    "graph": {"k1": 20, "k2": 6, "backend": "ivf"},
    "cluster": {"method": "community", "relation": "judged", "min_size": 2},
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
RUNS = {"tiny": {}, "gcn": merge(GCN, {"evaluate": {"every": 0, "baselines": []}})}
# The same runs with two epochs in a job; only their epochs are done.
TOGETHER = RUNS | {f"{name}-job": merge(run, {"epochs_per_job": 2}) for name, run in RUNS.items()}
TRAINED = [
    *(f"results/{name}-job/init/metrics.json" for name in RUNS),
    *(f"results/{name}-job/epochs/003/model.safetensors" for name in RUNS),
    "results/gcn-job/epochs/003/gcn.safetensors",
]
