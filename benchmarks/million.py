"""A million images from end to end: `python benchmarks/million.py [--n 1000000]` (an hour, 16 GB).

Every stage runs as a command of its own, on fabricated features with the statistics of real ones
(17 images an identity, look-alikes, six cameras) and on pixels of 32x16: neighbours (ivf) and
Jaccard graph, clusters by both methods, the relation GCN made, all stored pairs judged, clusters
of the judged pairs, one epoch of training with the GCN as filter of hard pairs; and an evaluation
of 10,000 queries among as many images. Time and peak memory of each process. Then what 100,000
images take from files to features.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from runs import PROGRAM, command

from mprd.config import load_config
from mprd.pipeline.files import Step
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout
from mprd.pipeline.location import synthetic_folder

GCN = {"hidden": [64, 64], "conv": [64, 128], "mlp": 64}
VALUES = {
    "data": {"dataset": "folder", "height": 32, "width": 16},
    "model": {"backbone": "mini"},
    "graph": {"backend": "ivf", "k1": 20, "k2": 6, "eps_max": 0.6},
    "cluster": {"eps": 0.5},
    "use_gcn": True,
    "gcn": GCN,
    "train": {"iters": 200, "identities": 16, "instances": 4, "use_ppa": False},
}
JUDGED = {"cluster": {"method": "community", "relation": "judged", "gamma": 0.1, "min_size": 2}}
COMMUNITY = {"cluster": {"method": "community", "gamma": 0.1, "min_size": 2}}
DIM = 192  # of `mini`
LIMIT_MINUTES, LIMIT_GIB = 60, 16


def make(folder: Path, count: int) -> None:
    """Write index, pixels, model and features."""
    import fabricate

    from mprd.config import dump_yaml, merge

    for name, more in (("plain", {}), ("judged", JUDGED), ("community", COMMUNITY)):
        settings = fabricate.config(**merge(VALUES, more))
        (folder / f"{name}.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    settings = fabricate.config(**VALUES)
    fabricate.write_index(folder, count)
    fabricate.write_pixels(folder, 32, 16)
    fabricate.write_model(folder, settings)
    fabricate.write_features(folder, DIM)


# Name -> settings, stage and step of each job, in order.
JOBS: dict[str, tuple[str, str, Step]] = {
    "graph": ("plain", "graph", FIRST_EPOCH),
    "cluster, community": ("community", "cluster", FIRST_EPOCH),
    "cluster, provisional": ("judged", "draft", FIRST_EPOCH),
    "metadata": ("judged", "metadata", None),
    "ranks": ("judged", "ranks", FIRST_EPOCH),
    "pretrain": ("judged", "pretrain", None),
    "judge": ("judged", "judge", FIRST_EPOCH),
    "cluster, judged": ("judged", "cluster", FIRST_EPOCH),
    "cluster, DBSCAN": ("plain", "cluster", FIRST_EPOCH),
    "train": ("plain", "train", FIRST_EPOCH),
    "learn": ("plain", "learn", FIRST_EPOCH),
}


def evaluate(count: int) -> None:
    """Evaluate 10,000 queries among `count` images, in this process."""
    from common import embeddings

    from mprd.retrieval.evaluation import evaluate

    queries = 10_000
    features, identity = embeddings(count + queries, DIM)
    camera = np.random.default_rng(0).integers(0, 6, len(features))
    sides = [part[start] for start in (slice(count, None), slice(count)) for part in
             (features, identity, camera)]  # fmt: skip
    start = time.perf_counter()
    evaluate(*sides, top=50)
    print(f"seconds {time.perf_counter() - start:.1f}")


def measured(command: list[object], where: Path) -> tuple[float, float, str]:
    """Run a command; return seconds, peak GiB, and what it said."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, cwd=where)
        _, status, usage = os.wait4(process.pid, 0)
        log.seek(0)
        text = log.read()
    if status:
        raise SystemExit(f"{command} failed: {text[-3000:]}")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20, text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=100_000, help="images of the pixel path")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--make", nargs=2)
    parser.add_argument("--evaluate", type=int)
    options = parser.parse_args()
    if options.make:
        make(Path(options.make[0]), int(options.make[1]))
    elif options.evaluate:
        evaluate(options.evaluate)
    else:
        run(options)


def run(options: argparse.Namespace) -> None:
    """Measure all stages, in processes that are started here."""
    here = Path(__file__).parent
    rows: list[dict] = []

    def note(what: str, size: str, seconds: float, peak: float) -> None:
        rows.append(
            {
                "what": f"million images: {what}",
                "size": size,
                "result": f"{seconds:.0f} s, {peak:.1f} GiB",
                "target": "",
                "met": None,
                "detail": "",
            }
        )
        print(*rows[-1].values(), sep=" | ", flush=True)

    total = most = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measured([sys.executable, here / "million.py", "--make", folder, options.n], here)
        for what, (config, stage, step) in JOBS.items():
            words = command(stage, RunLayout(folder), folder / f"{config}.yaml", step)
            seconds, peak, text = measured(words, here)
            note(what, f"N={options.n:,}, D={DIM}", seconds, peak)
            print("   ", " / ".join(line for line in text.splitlines() if "|" not in line)[-400:])
            total, most = total + seconds, max(most, peak)
        line = [sys.executable, here / "million.py", "--evaluate", options.n]
        _, peak, text = measured(line, here)
        seconds = float(text.split()[-1])
        note("evaluation of 10,000 queries", f"N={options.n:,}, D={DIM}", seconds, peak)
        total, most = total + seconds, max(most, peak)
    with tempfile.TemporaryDirectory() as name:
        files(Path(name), options.files, note)
    met = total <= 60 * LIMIT_MINUTES and most <= LIMIT_GIB
    rows.append(
        {
            "what": "million images: all of it, without pixels and features",
            "size": f"N={options.n:,}, D={DIM}",
            "result": f"{total / 60:.0f} minutes, {most:.1f} GiB",
            "target": f"{LIMIT_MINUTES} minutes, {LIMIT_GIB} GiB",
            "met": met,
            "detail": f"{len(os.sched_getaffinity(0))} cores; each stage a process",
        }
    )
    print(*rows[-1].values(), sep=" | ")
    if options.json:
        options.json.write_text(json.dumps(rows), encoding="utf-8")


def files(folder: Path, count: int, note) -> None:
    """Measure the way from image files to features."""
    drawn = {"train_identities": max(2, count // 13), "test_identities": 2}
    config = {"data": {"dataset": "synthetic", "root": str(folder / "data"), "height": 32}}
    config["data"] |= {"width": 16, "synthetic": drawn}
    config |= {"model": {"backbone": "mini"}, "init": {"method": "random"}}
    settings, run = folder / "c.yaml", RunLayout(folder / "run")
    settings.write_text(json.dumps(config), encoding="utf-8")
    images = synthetic_folder(load_config(settings))
    measured([PROGRAM, "synthesize", "--config", settings, "--out", images], folder)
    for stage, step in {
        "index": None,
        "pixels": None,
        "init": None,
        "features": FIRST_EPOCH,
    }.items():
        seconds, peak, _ = measured(command(stage, run, settings, step), folder)
        note(stage, f"about {count:,} files of 32x16", seconds, peak)


if __name__ == "__main__":
    main()
