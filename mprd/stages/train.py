"""Stage `train`: one epoch of the CNN."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from mprd.artifacts import (
    CLUSTERS,
    FEATURES,
    Artifact,
    atomic,
    read_artifact,
    require_file,
    write_json,
)
from mprd.config import Config, TrainConfig
from mprd.data.pixels import PixelStore
from mprd.errors import UserError
from mprd.memory import relation_bytes
from mprd.models import ReidNetwork, load_network, save_network
from mprd.provenance import require_parent, stage_settings
from mprd.runtime import select_device
from mprd.stages.common import open_store, read_index, require_for_training, split_rows
from mprd.training import EpochResult, EpochTrainer, make_optimizer, train_epoch, trainer_state

_STATE_SCHEMA = "mprd.state"


@dataclass(frozen=True)
class TrainInputs:
    """The files that one epoch reads.

    Attributes:
        index: `index.h5`.
        pixels: `pixels.h5`.
        features: `features.h5` of this epoch.
        clusters: `clusters.h5` of this epoch.
        model: the model of the epoch before (epoch 1: the initial one).
        previous_clusters: `clusters.h5` of the epoch before, None in epoch 1.
        state: `state.pt` of the epoch before, None in epoch 1.
        graph: `graph.h5` of this epoch (`use_gcn`).
        metadata: `metadata.h5` (`use_gcn`).
        gcn: the relation GCN of the epoch before (epoch 1: the pre-trained one) (`use_gcn`).
    """

    index: Path
    pixels: Path
    features: Path
    clusters: Path
    model: Path
    previous_clusters: Path | None = None
    state: Path | None = None
    graph: Path | None = None
    metadata: Path | None = None
    gcn: Path | None = None


def run_train(inputs: TrainInputs, out: Path, epoch: int, config: Config) -> None:
    """Train one epoch; write `model.safetensors`, `state.pt` and `metrics.json` into `out`.

    With `use_gcn` also `gcn.safetensors` and `relations.h5`.

    Args:
        inputs: files of this epoch and the one before.
        out: folder of the epoch.
        epoch: 1-based.
        config: `train`, `augment`, `use_gcn`, `gcn`, `cluster`, `seed` and `device` are read.

    Raises:
        UserError: inputs missing, damaged, stale or of another run; fewer labelled images than
            a batch; a loss that is NaN; too little memory.
    """
    for path in (inputs.graph, inputs.metadata, inputs.gcn):
        if (path is not None) != config.use_gcn:
            raise UserError(
                "Options --graph, --metadata and --gcn go with use_gcn: true, all or none; "
                f"use_gcn is {str(config.use_gcn).lower()} in the config."
            )
    if (epoch == 1) != (inputs.state is None) or (epoch == 1) != (inputs.previous_clusters is None):
        raise UserError(
            f"Epoch {epoch} {'takes no' if epoch == 1 else 'needs the'} state and clusters of the "
            "epoch before (--state, --previous-clusters)."
        )
    index = read_index(inputs.index)
    device = select_device(config.device)
    rows = split_rows(index, "train")
    store = open_store(inputs.pixels, index, rows, device)
    features, clusters, previous = _read_labels(inputs, index)
    _require_batch(clusters, config.train, inputs.clusters)
    network, header = load_network(inputs.model)
    if features.inputs["model"] != header["digest"]:
        raise UserError(
            f"{inputs.features} was made by another model than {inputs.model}. "
            "Make it again with `mprd features`."
        )
    _require_memory(network, store, features["features"].nbytes, index["camera"][rows], config)
    network = network.to(device).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(network, config.train, epoch)
    generator = torch.Generator().manual_seed(config.seed)
    if inputs.state is not None:
        _restore(inputs.state, epoch, optimizer, generator)
    # All randomness of the epoch follows from three draws, so only this generator is carried on.
    plan_seed, device_seed, gcn_seed = torch.randint(2**62, (3,), generator=generator).tolist()
    digests = {"index": index.digest, "pixels": store.digest, "model": header["digest"]}
    digests |= {"features": features.digest, "clusters": clusters.digest}
    relation = None
    if config.use_gcn:
        from mprd.stages.relation_epoch import RelationEpoch

        relation = RelationEpoch(
            inputs, index, clusters, features["features"], network, store, config, gcn_seed
        )
        digests |= relation.digests
    trainer = EpochTrainer(
        network,
        optimizer,
        features["features"],
        clusters["labels"],
        None if previous is None else previous["labels"],
        config.train,
        config.augment,
        device,
        torch.Generator(device).manual_seed(device_seed),
        relation.bind if relation else None,
    )
    cameras = index["camera"][rows]
    result = train_epoch(trainer, store, cameras, epoch, np.random.default_rng(plan_seed))
    if previous is not None:
        digests["previous_clusters"] = previous.digest
    _write(out, network, trainer_state(optimizer, generator, epoch), config, digests)
    report = _metrics(result, epoch, config.train, optimizer)
    if relation is not None:
        report["relations"] = relation.finish(out, digests)
    write_json(out / "metrics.json", report)


def _read_labels(
    inputs: TrainInputs, index: Artifact
) -> tuple[Artifact, Artifact, Artifact | None]:
    features = read_artifact(inputs.features, FEATURES)
    require_parent(features, "index", index.digest, inputs.index)
    clusters = read_artifact(inputs.clusters, CLUSTERS)
    require_parent(clusters, "features", features.digest, inputs.features)
    previous = None
    if inputs.previous_clusters is not None:
        previous = read_artifact(inputs.previous_clusters, CLUSTERS)
        require_parent(previous, "index", index.digest, inputs.index)
    return features, clusters, previous


def _require_batch(clusters: Artifact, settings: TrainConfig, path: Path) -> None:
    labelled = int((clusters["labels"] >= 0).sum())
    batch = settings.identities * settings.instances
    if labelled < batch:
        raise UserError(
            f"{path} gives a label to {labelled} images, fewer than a batch of {batch} "
            "(train.identities x train.instances). Raise cluster.eps, lower cluster.min_samples, "
            "or take a smaller batch."
        )


def _require_memory(
    network: ReidNetwork, store: PixelStore, rows: int, cameras: np.ndarray, config: Config
) -> None:
    settings = config.train
    images = settings.identities * settings.instances * (2 if settings.use_ppa else 1)
    more = 4 * rows  # as features, as memory, and their copies
    if config.use_gcn:
        more += relation_bytes(len(store), len(np.unique(cameras)), config.graph.k1)
    require_for_training("train", network, store, images, more)


def _restore(
    path: Path, epoch: int, optimizer: torch.optim.Optimizer, generator: torch.Generator
) -> None:
    """Take over optimiser moments and random state; the learning rate is this epoch's own."""
    require_file(path, "train")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        stored_epoch, schema = int(state["epoch"]), state["schema"]
    except Exception:  # torch raises a dozen kinds here, all of them "not a state file"
        raise UserError(
            f"{path} is not a readable training state. Make it again with `mprd train`."
        ) from None
    if schema != _STATE_SCHEMA or stored_epoch != epoch - 1:
        raise UserError(
            f"{path} is the state after epoch {stored_epoch}, epoch {epoch} needs that of "
            f"{epoch - 1}. Make it again with `mprd train`."
        )
    rates = [group["lr"] for group in optimizer.param_groups]
    try:
        optimizer.load_state_dict(state["optimizer"])
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path} does not fit the model ({error}). Make both again with `mprd train`."
        ) from None
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate
    generator.set_state(state["rng"])


def _write(
    out: Path,
    network: ReidNetwork,
    state: dict[str, Any],
    config: Config,
    digests: dict[str, str],
) -> None:
    save_network(
        out / "model.safetensors",
        network,
        config=stage_settings(config, "train"),
        inputs=digests,
        seed=config.seed,
    )
    with atomic(out / "state.pt") as temporary, temporary.open("wb") as stream:
        torch.save({"schema": _STATE_SCHEMA, **state}, stream)


def _metrics(
    result: EpochResult, epoch: int, settings: TrainConfig, optimizer: torch.optim.Optimizer
) -> dict[str, Any]:
    return {
        "schema": "mprd.metrics",
        "epoch": epoch,
        "lr": optimizer.param_groups[0]["lr"],
        "loss": fmean(result.loss),
        "hsd_loss": fmean(result.hsd),
        "ppa_loss": fmean(result.ppa) if settings.use_ppa else None,
        "mean_hard_positives": result.mean_positives,
        "mean_hard_negatives": result.mean_negatives,
        "step_loss": result.loss,
    }
