"""Row of gpu.py about the real Market-1501: a training as shipped, with its times.

The folder may hold the training images only. Then there is no mAP here: `mprd evaluate --model`
measures it on a machine that has the others.
"""

import json
import shutil
import statistics
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
from common import Row
from gpu_setup import ROOT, Bench, StageTime, stage_times

from mprd.artifacts import CLUSTERS, read_artifact
from mprd.config import Config, merge, read_yaml, validate
from mprd.data.datasets.flat import STANDARD
from mprd.data.datasets.market1501 import LAYOUT
from mprd.errors import UserError
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout, epoch_name
from mprd.stages.run_stage import make_pseudo_labels, run_epochs, run_stage

MAP = 59.7  # after 14 epochs without batch-norm groups, on one H200


def market(bench: Bench) -> list[Row]:
    """Train on Market-1501; write the model and a table of the epochs after each job."""
    assert bench.market is not None  # there is no such row without it
    places = sorted(bench.market.glob(f"**/{STANDARD['train']}"))
    if not places:
        raise UserError(f"There is no folder {STANDARD['train']} in {bench.market}.")
    folder = places[0].parent
    whole = all((folder / name).is_dir() for name in STANDARD.values())
    config, run = _config(bench, folder, whole=whole), RunLayout(bench.work / "market")
    run.folder.mkdir(parents=True, exist_ok=True)
    for name in ("index", "pixels", "init"):
        run_stage(name, run, config)
    with stage_times() as found:
        make_pseudo_labels(run, FIRST_EPOCH, config)
        for first in range(1, config.epochs + 1, config.epochs_per_job):
            last = min(first + config.epochs_per_job - 1, config.epochs)
            run_epochs(run.folder, first=first, last=last, config=config)
            table = _table(run, found, last)
            _write(bench.out, run, last, table)
    steady = statistics.median(row["seconds"] for row in table[1:] or table)
    result = "trained, not evaluated"
    if whole:
        run_stage("evaluate", run, config, step=epoch_name(config.epochs))
        file = run.evaluation(epoch_name(config.epochs))
        shutil.copyfile(file, bench.out / "evaluation.json")
        figures = json.loads(file.read_text(encoding="utf-8"))
        result = f"{100 * figures['mAP']:.1f} mAP, {100 * figures['rank1']:.1f} rank-1"
    minutes = sum(row["seconds"] for row in table) / 60
    return [
        Row(
            "Market-1501 from ImageNet weights, market1501_lite0.yaml",
            f"{config.epochs} epochs of {config.train.iters} steps",
            result,
            detail=f"{minutes:.1f} min, {steady:.1f} s an epoch; {table[-1]['clusters']} clusters "
            f"and {table[-1]['outliers']} outliers at the end; 14 epochs gave {MAP} mAP before",
        )
    ]


def _config(bench: Bench, folder: Path, *, whole: bool) -> Config:
    """Return the settings as shipped, with the data of this folder."""
    shipped = read_yaml(ROOT / "config/market1501_lite0.yaml")
    values = bench.values() if bench.tiny else shipped
    data = {"dataset": "market1501", "root": str(folder)}
    if not whole:
        data = {"dataset": "folder", "root": str(_manifest(bench, folder)), "allow_outside": True}
    own = {
        "data": data,
        "epochs": bench.epochs,
        "device": str(bench.device),
        "use_time": shipped["use_time"],
    }
    values = merge(values, own)
    return validate(values, "market1501_lite0.yaml")


def _manifest(bench: Bench, folder: Path) -> Path:
    """Write a table of the training images, with the times that the reader finds."""
    records = replace(LAYOUT, folders={"train": STANDARD["train"]}).read(folder)
    rows = [(folder.resolve() / r.path, r.identity, r.camera, r.time) for r in records]
    out = bench.work / "train.csv"
    out.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["path", "identity", "camera", "frame"]).to_csv(out, index=False)
    return out


def _table(run: RunLayout, found: list[StageTime], epochs: int) -> list[dict]:
    """Return seconds, clusters and loss of each epoch."""
    ends = [stage.end for stage in found if stage.name == "train"]
    rows = []
    for epoch, (begin, end) in enumerate(pairwise([found[0].begin, *ends]), start=1):
        clusters = read_artifact(run.epoch(epoch).clusters, CLUSTERS)
        loss = json.loads(run.epoch(epoch).metrics.read_text(encoding="utf-8"))["loss"]
        rows.append(
            {
                "epoch": epoch,
                "seconds": round(end - begin, 2),
                "clusters": len(clusters["sizes"]),
                "outliers": int((clusters["labels"] < 0).sum()),
                "loss": loss,
            }
        )
    return rows[:epochs]


def _write(out: Path, run: RunLayout, epoch: int, table: list[dict]) -> None:
    """Leave the newest model and the table, so that a run cut short leaves something, too."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(run.epoch(epoch).model, out / "model.safetensors")
    pd.DataFrame(table).to_csv(out / "epochs.csv", index=False)
