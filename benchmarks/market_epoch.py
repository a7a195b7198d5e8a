"""Epochs of Market-1501's size with the relation GCN: `python benchmarks/market_epoch.py`.

Everything an epoch does, graph and clusters included, in one process (`mprd epochs`), on fabricated
images; then the same through Snakemake, to see what the orchestration takes. Meant for a GPU; with
`--n 400 --iters 3 --height 64 --width 32 --backbone mini` it runs anywhere in a minute.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fabricate
import torch
from common import Row, arguments, report
from PIL import Image

from mprd.artifacts import INDEX, read_artifact
from mprd.artifacts.workbench import workbench
from mprd.config import Config, dump_yaml
from mprd.data.pixels import PixelStore
from mprd.errors import EPOCHS
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout
from mprd.stages.run_stage import make_pseudo_labels, run_epochs
from mprd.system.torch_setup import set_up_cpu

ROOT = Path(__file__).parents[1]


def prepare(folder: Path, config: Config, count: int) -> None:
    """Write all that epoch 1 needs."""
    fabricate.write_index(folder, count)
    fabricate.write_pixels(folder, config.data.height, config.data.width)
    fabricate.write_model(folder, config)
    make_pseudo_labels(RunLayout(folder), FIRST_EPOCH, config)


def in_process(folder: Path, config: Config, epochs: int) -> list[float]:
    """Return the seconds of each epoch; the first one has its pseudo-labels already."""
    times = []
    with workbench(behind=True):  # as `run_epochs` has it for several epochs
        for epoch in range(1, epochs + 1):
            start = time.perf_counter()
            run_epochs(folder, first=epoch, last=epoch, config=config)
            times.append(time.perf_counter() - start)
    return times


def through_snakemake(folder: Path, values: dict, jobs: int, per_job: int) -> tuple[float, float]:
    """Return the wall time of `jobs` jobs of several epochs, and the time within these jobs."""
    images = folder / "images"
    if not images.exists():
        write_images(folder, images)
    runs = folder / "results"
    shutil.rmtree(runs, ignore_errors=True)
    values = values | {"results": str(runs), "epochs_per_job": per_job, "runs": {"bench": {}}}
    values["data"] = values["data"] | {"dataset": "folder", "root": str(images)}
    run = RunLayout(runs / "bench")
    start_target = [str(run.epoch(FIRST_EPOCH).clusters)]
    if values["use_gcn"]:
        start_target.append(str(run.initial_gcn))
    config = folder / "bench.json"
    config.write_text(json.dumps(values | {"epochs": jobs * per_job}), encoding="utf-8")
    last = str(run.epoch(jobs * per_job).model)

    def snakemake(targets: list[str]) -> float:
        program = Path(sys.executable).parent / "snakemake"
        command = [program, "--cores", "all", "--snakefile", ROOT / "Snakefile", "--directory",
                   ROOT, "--configfile", config, "--", *targets]  # fmt: skip
        start = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr[-3000:])
        return time.perf_counter() - start

    snakemake(start_target)
    wall = snakemake([last])
    tables = run.benchmark(EPOCHS, "jobs").parent.glob("*-*.tsv")
    return wall, sum(float(t.read_text().splitlines()[1].split("\t")[0]) for t in tables)


def write_images(folder: Path, images: Path) -> None:
    """Write the fabricated pixels as image files."""
    images.mkdir()
    index = read_artifact(folder / "index.h5", INDEX)
    store = PixelStore(folder / "pixels.h5", range(len(index["path"])), torch.device("cpu"))
    for row in range(len(store)):
        Image.fromarray(store.batch([row])[0].numpy()).save(images / f"{row:06d}.jpg")


def main() -> None:
    options = arguments(
        __doc__, n=12_936, iters=400, epochs=3, height=256, width=128, backbone="resnet50",
        gcn=1, per_job=10,
    )  # fmt: skip
    values = {
        "init": {"method": "random"},
        "data": {"height": options.height, "width": options.width},
        "model": {"backbone": options.backbone},
        "train": {"iters": options.iters, "use_hsd": True, "use_ppa": True},
        "cluster": {"eps": 0.6, "min_samples": 2},
        "use_gcn": bool(options.gcn),
        "gcn": {"pretrain": {"metadata": 20, "unlabelled": 40}},
    }
    set_up_cpu(None)
    rows = []
    # The targets are those of a GPU at full size.
    judged = torch.cuda.is_available() and options.n >= 12_936 and options.iters >= 400
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    size = f"{options.n:,} images, {options.iters} steps, {options.backbone}, {device}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = fabricate.config(**values)
        prepare(folder, config, options.n)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        (folder / "config.yaml").write_text(dump_yaml(config), encoding="utf-8")
        times = in_process(folder, config, options.epochs)
        epoch = sum(times[1:] or times) / len(times[1:] or times)
        memory = ""
        if torch.cuda.is_available():
            memory = f"; {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB on the card"
        rows.append(
            Row("one epoch, GCN on, graph and clusters included", size, f"{epoch:.1f} s", "30 s",
                epoch <= 30 if judged else None, ", ".join(f"{t:.1f}" for t in times) + memory)
        )  # fmt: skip
        wall, inside = through_snakemake(folder, values, 2, options.per_job)
        projected = wall / (2 * options.per_job) * 50 / 60
        share = 1 - inside / wall
        rows.append(
            Row("50 epochs through Snakemake", f"{size}, epochs_per_job {options.per_job}",
                f"{projected:.1f} min, {share:.0%} orchestration", "35 min, 10%",
                projected <= 35 and share <= 0.10 if judged else None,
                f"projected from {2 * options.per_job} epochs: {wall:.1f} s")
        )  # fmt: skip
    report(rows, options.json)


if __name__ == "__main__":
    main()
