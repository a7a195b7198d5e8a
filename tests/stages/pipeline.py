"""The stages of a run by plain calls, for the tests."""

import json
from pathlib import Path

from mprd.config import Config, merge, validate
from mprd.stages.cluster import run_cluster
from mprd.stages.epochs import epoch_inputs
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph
from mprd.stages.index import run_index
from mprd.stages.init import run_init
from mprd.stages.metadata import run_metadata
from mprd.stages.pixels import run_pixels
from mprd.stages.pretrain import PretrainInputs, run_pretrain
from mprd.stages.train import TrainInputs, run_train


def changed(config: Config, **sections) -> Config:
    return validate(merge(json.loads(config.model_dump_json()), sections), "test")


def start(folder: Path, config: Config) -> None:
    run_index(folder / "index.h5", config)
    run_pixels(folder / "index.h5", folder / "pixels.h5", config)
    run_init(
        folder / "index.h5",
        folder / "pixels.h5",
        folder / "init/model.safetensors",
        folder / "init/metrics.json",
        config,
    )


def inputs_of(folder: Path, epoch: int, gcn: bool = False) -> TrainInputs:
    return epoch_inputs(folder, epoch, gcn)


def label(folder: Path, epoch: int, config: Config) -> None:
    here, inputs = folder / f"epochs/{epoch:03d}", inputs_of(folder, epoch)
    run_features(inputs.index, inputs.pixels, inputs.model, here / "features.h5", config)
    run_graph(here / "features.h5", here / "graph.h5", config, index=inputs.index)
    run_cluster(inputs.index, here / "graph.h5", here / "clusters.h5", config)


def train(folder: Path, epoch: int, config: Config) -> None:
    inputs = inputs_of(folder, epoch, config.use_gcn)
    run_train(inputs, folder / f"epochs/{epoch:03d}", epoch, config)


def metadata(folder: Path, config: Config, out: Path | None = None) -> None:
    first = folder / "epochs/001"
    run_metadata(
        folder / "index.h5",
        folder / "pixels.h5",
        folder / "init/model.safetensors",
        first / "features.h5",
        first / "graph.h5",
        out or folder / "gcn/metadata.h5",
        config,
    )


def pretrain(folder: Path, config: Config, out: Path | None = None) -> None:
    first, out = folder / "epochs/001", out or folder / "gcn"
    inputs = PretrainInputs(
        folder / "index.h5",
        folder / "pixels.h5",
        folder / "init/model.safetensors",
        first / "features.h5",
        first / "graph.h5",
        first / "clusters.h5",
        folder / "gcn/metadata.h5",
    )
    run_pretrain(inputs, out / "pretrained.safetensors", out / "metrics.json", config)
