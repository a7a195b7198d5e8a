"""The stages of a run by plain calls, for the tests."""

import json
from pathlib import Path
from typing import Any

from mprd.artifacts.files import atomic
from mprd.config import Config, Run, dump_yaml, merge, validate
from mprd.errors import FINAL
from mprd.pipeline.files import files_read, output_arguments
from mprd.pipeline.layout import FIRST_EPOCH, INITIAL, RunLayout, epoch_name
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.stages import stage
from mprd.stages.run_stage import make_pseudo_labels, run_stage
from mprd.stages.table import run_table
from tests.stage_server import python

GCN = {
    "use_gcn": True,
    "train": {"iters": 6, "lr": 3e-3},
    "graph": {"k1": 20, "k2": 6},  # so wide that identities fall together
    "cluster": {"eps": 0.6},
    "gcn": {
        "neighbors": 3,
        "hidden": [8, 8],
        "conv": [8, 12],
        "mlp": 8,
        "metadata": {"images": 3, "views": 4},
        "unlabelled": {"positive_rank": 2, "negative_rank": 5},
        "batch": 16,
        "pretrain": {"metadata": 2, "unlabelled": 3},
        "update": {"metadata": 1, "unlabelled": 2, "collected": 1},
    },
}
JUDGED = {"method": "community", "relation": "judged", "gamma": 0.1, "min_size": 2}


def changed(config: Config, **sections) -> Config:
    return validate(merge(json.loads(config.model_dump_json()), sections), "test")


def arguments(
    name: str, folder: Path, config: Config, step: int | str | None = None
) -> dict[str, Any]:
    """Keyword arguments of a stage of a run: its files, where it writes, its epoch."""
    run, one = RunLayout(folder), stage(name)
    found = {read.name: path for read, path in files_read(one, run, step, config).items()}
    found |= output_arguments(one, run, step, config)
    return found | ({"epoch": step} if name == "train" else {}) | {"config": config}


def command(name: str, run: RunLayout, config: Config, step: int | str | None = None) -> list[str]:
    """The command of a stage of a run, as the workflow gives it; writes the run's config."""
    there = changed(config, results=str(run.folder.parent))
    run.config.write_text(dump_yaml(there), encoding="utf-8")
    plan = RunPlan(Run(run.folder.name, "", there.seed, there), listing=str, digest=str)
    return [python(), "-m", "mprd.cli", *plan.command(name, step, 2)[1:]]


def start(folder: Path, config: Config) -> None:
    for name in ("index", "pixels", "init"):
        run_stage(name, RunLayout(folder), config)


def label(folder: Path, epoch: int, config: Config) -> None:
    make_pseudo_labels(RunLayout(folder), epoch, config)


def train(folder: Path, epoch: int, config: Config) -> None:
    """Train an epoch, and let the relation GCN learn from it."""
    run_stage("train", RunLayout(folder), config, step=epoch)
    if config.learns:
        run_stage("learn", RunLayout(folder), config, step=epoch)


def metadata(folder: Path, config: Config, out: Path | None = None) -> None:
    run = RunLayout(folder)
    run_stage("metadata", run, config, out=out or run.metadata)


def pretrain(folder: Path, config: Config) -> None:
    run_stage("pretrain", RunLayout(folder), config)


def export(run: RunLayout, config: Config) -> None:
    """Do what the workflow does at the end: label, then export."""
    make_pseudo_labels(run, FINAL, config)
    run_stage("export", run, config, step=FINAL)


def finish_given(folder: Path, values: dict[str, Any]) -> tuple[RunLayout, Config]:
    """Do a run with given features (`f.npy` in the folder) in `run`; the rest of the config too."""
    small = {"features": str(folder / "f.npy"), "height": 32, "width": 16}
    config = validate(merge({"device": "cpu", "data": small}, values), "x")
    run = RunLayout(folder / "run")
    run.final.folder.mkdir(parents=True)
    run.config.write_text(dump_yaml(config))
    for name in ("index", "pixels"):
        run_stage(name, run, config)
    export(run, config)
    return run, config


def finish(folder: Path, config: Config) -> RunLayout:
    """Do a whole run, as the workflow would; the evaluations are those of the first and last."""
    run = RunLayout(folder)
    start(folder, config)
    for epoch in range(1, config.epochs + 1):
        label(folder, epoch, config)
        if epoch == FIRST_EPOCH:
            run_stage("preview", run, config)
        train(folder, epoch, config)
    for name in {INITIAL: None, epoch_name(config.epochs): None}:
        run_stage("evaluate", run, config, step=name)
    export(run, config)
    with atomic(run.config) as temporary:
        temporary.write_text(dump_yaml(config), encoding="utf-8")
    run_table(run=folder, out=run.table)
    return run
