"""The stages of a run by plain calls, for the tests."""

import json
from pathlib import Path

from mprd.artifacts.files import atomic
from mprd.config import Config, dump_yaml, merge, validate
from mprd.pipeline.inputs import EpochInputs, epoch_inputs, initial_files
from mprd.pipeline.layout import INITIAL, RunLayout, epoch_name
from mprd.stages.epochs import make_pseudo_labels
from mprd.stages.evaluate import run_evaluate
from mprd.stages.export import run_export
from mprd.stages.index import run_index
from mprd.stages.init import run_init
from mprd.stages.metadata import run_metadata
from mprd.stages.pixels import run_pixels
from mprd.stages.pretrain import run_pretrain
from mprd.stages.table import run_table
from mprd.stages.train import run_train


def changed(config: Config, **sections) -> Config:
    return validate(merge(json.loads(config.model_dump_json()), sections), "test")


def start(folder: Path, config: Config) -> None:
    run = RunLayout(folder)
    run_index(out=run.index, config=config)
    run_pixels(index=run.index, out=run.pixels, config=config)
    run_init(
        index=run.index,
        pixels=run.pixels,
        out=run.initial_model,
        metrics=run.initial_metrics,
        config=config,
    )


def inputs_of(folder: Path, epoch: int, config: Config) -> EpochInputs:
    return epoch_inputs(RunLayout(folder), epoch, config)


def label(folder: Path, epoch: int, config: Config) -> None:
    make_pseudo_labels(RunLayout(folder), epoch, config)


def train(folder: Path, epoch: int, config: Config) -> None:
    inputs = inputs_of(folder, epoch, config)
    run_train(inputs, out=RunLayout(folder).epoch(epoch), epoch=epoch, config=config)


def metadata(folder: Path, config: Config, out: Path | None = None) -> None:
    run = RunLayout(folder)
    run_metadata(initial_files(run), out=out or run.metadata, config=config)


def pretrain(folder: Path, config: Config) -> None:
    run = RunLayout(folder)
    run_pretrain(
        initial_files(run),
        clusters=run.epoch(1).doubtful(config.uses_judgements),
        metadata=run.metadata,
        out=run.initial_gcn,
        metrics=run.initial_gcn_metrics,
        config=config,
        ranks=run.epoch(1).ranks if config.uses_ranks else None,
    )


def export(run: RunLayout, config: Config) -> None:
    last = run.epoch(config.epochs)
    run_export(
        index=run.index,
        pixels=run.pixels,
        model=last.model,
        gcn=last.gcn if config.uses_judgements else None,
        out=run.final,
        config=config,
    )


def finish(folder: Path, config: Config) -> RunLayout:
    """Do a whole run, as the workflow would; the evaluations are those of the first and last."""
    run = RunLayout(folder)
    start(folder, config)
    for epoch in range(1, config.epochs + 1):
        label(folder, epoch, config)
        train(folder, epoch, config)
    for name, model in ((INITIAL, run.initial_model), (epoch_name(epoch), run.epoch(epoch).model)):
        run_evaluate(
            index=run.index,
            pixels=run.pixels,
            model=model,
            out=run.evaluation(name),
            rankings=run.rankings(name),
            config=config,
        )
    export(run, config)
    with atomic(run.config) as temporary:
        temporary.write_text(dump_yaml(config), encoding="utf-8")
    run_table(run=folder, out=run.table)
    return run
