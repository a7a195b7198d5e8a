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


def commands(folder: Path) -> dict[str, list[str]]:
    """Return name -> command of each stage, in order."""
    first, out = folder / "epochs/001", folder / "out"
    index, pixels = ["--index", f"{folder}/index.h5"], ["--pixels", f"{folder}/pixels.h5"]
    features = ["--features", f"{first}/features.h5"]
    graph, provisional = ["--graph", f"{first}/graph.h5"], f"{first}/drafts.h5"
    start = [*index, *pixels, "--model", f"{folder}/init/model.safetensors"]
    metadata = ["--metadata", f"{folder}/gcn/metadata.h5"]
    gcn = f"{folder}/gcn/pretrained.safetensors"
    judgements = f"{first}/judgements.h5"
    ranks = ["--ranks", f"{first}/ranks.h5"]
    pairs = [*index, *features, *graph, "--drafts", provisional, "--gcn", gcn, *ranks]
    learn = [*start, *features, *graph, *metadata, *ranks]
    return {
        "graph": ["plain", *features, *index, "--out", graph[1]],
        "cluster, DBSCAN": ["plain", *index, *graph, "--out", f"{first}/clusters.h5"],
        "cluster, community": ["community", *index, *graph, "--out", f"{out}.h5"],
        "cluster, provisional": ["judged", *index, *graph, "--out", provisional],
        "metadata": ["judged", *start, *features, *graph, "--out", metadata[1]],
        "ranks": ["judged", *index, *features, "--out", ranks[1]],
        "pretrain": [
            *("judged", *learn, "--clusters", provisional),
            *("--out", gcn, "--metrics", f"{folder}/gcn/metrics.json"),
        ],
        "judge": ["judged", *pairs, "--out", judgements],
        "cluster, judged": [
            *("judged", *index, *graph, "--judgements", judgements),
            *("--out", f"{first}/judged.h5"),
        ],
        "train": [
            *("plain", *learn, "--clusters", f"{first}/clusters.h5", "--gcn", gcn),
            *("--epoch", "1", "--out", f"{first}"),
        ],
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
    mprd = Path(sys.executable).parent / "mprd"
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
        for stage, (config, *arguments) in commands(folder).items():
            command = [mprd, stage.partition(",")[0], "--config", folder / f"{config}.yaml"]
            seconds, peak, text = measured([*command, *arguments], here)
            note(stage, f"N={options.n:,}, D={DIM}", seconds, peak)
            print("   ", " / ".join(line for line in text.splitlines() if "|" not in line)[-400:])
            total, most = total + seconds, max(most, peak)
        line = [sys.executable, here / "million.py", "--evaluate", options.n]
        _, peak, text = measured(line, here)
        seconds = float(text.split()[-1])
        note("evaluation of 10,000 queries", f"N={options.n:,}, D={DIM}", seconds, peak)
        total, most = total + seconds, max(most, peak)
    with tempfile.TemporaryDirectory() as name:
        files(Path(name), mprd, options.files, note)
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


def files(folder: Path, mprd: Path, count: int, note) -> None:
    """Measure the way from image files to features."""
    images = {"train_identities": max(2, count // 13), "test_identities": 2}
    config = {"data": {"dataset": "synthetic", "root": str(folder / "data"), "height": 32}}
    config["data"] |= {"width": 16, "synthetic": images}
    config |= {"model": {"backbone": "mini"}, "init": {"method": "random"}}
    (folder / "c.yaml").write_text(json.dumps(config), encoding="utf-8")
    c, at = ["--config", folder / "c.yaml"], folder / "run"
    at.mkdir()
    index, pixels = ["--index", at / "index.h5"], ["--pixels", at / "pixels.h5"]
    model = at / "model.safetensors"
    from mprd.config import load_config
    from mprd.pipeline.settings import synthetic_folder

    measured([mprd, "synthesize", *c, "--out", synthetic_folder(load_config(c[1]))], folder)
    for stage, arguments in {
        "index": ["--out", index[1]],
        "pixels": [*index, "--out", pixels[1]],
        "init": [*index, *pixels, "--out", model],
        "features": [*index, *pixels, "--model", model, "--out", at / "features.h5"],
    }.items():
        seconds, peak, _ = measured([mprd, stage, *c, *arguments], folder)
        note(stage, f"about {count:,} files of 32x16", seconds, peak)


if __name__ == "__main__":
    main()
