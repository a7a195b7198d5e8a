"""The stages of a run by plain calls, for the tests."""

import json
from pathlib import Path

from mprd.config import Config, merge, validate
from mprd.pipeline.inputs import EpochInputs, epoch_inputs, initial_files
from mprd.pipeline.layout import RunLayout
from mprd.stages.epochs import label_epoch
from mprd.stages.index import run_index
from mprd.stages.init import run_init
from mprd.stages.metadata import run_metadata
from mprd.stages.pixels import run_pixels
from mprd.stages.pretrain import run_pretrain
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
    label_epoch(RunLayout(folder), epoch, config)


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
        clusters=run.epoch(1).doubtful(config.judged),
        metadata=run.metadata,
        out=run.initial_gcn,
        metrics=run.initial_gcn_metrics,
        config=config,
    )
