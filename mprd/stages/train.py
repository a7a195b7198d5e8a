"""Stage `train`: one epoch of the CNN."""

import time
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from mprd.artifacts import (
    CLUSTERS,
    FEATURES,
    Artifact,
    read_artifact,
    write_json,
)
from mprd.clustering.membership import relative_membership
from mprd.config import Config, TrainConfig
from mprd.data.index import read_index, split_rows
from mprd.data.pixels import PixelStore
from mprd.errors import UserError
from mprd.losses.memories.registry import MEMORIES, Memory, MemoryInputs
from mprd.models.network import ReidNetwork
from mprd.pairs.hard_pairs import HardPairs
from mprd.pipeline.inputs import EpochInputs
from mprd.pipeline.layout import FIRST_EPOCH, EpochLayout, log_prefix
from mprd.pipeline.lineage import require_parent
from mprd.stages.epoch_state import read_network, restore_state, trainer_state, write_network
from mprd.stages.exclusive import exclusive
from mprd.stages.memory_checks import require_memory_for_training
from mprd.stages.open_pixels import open_store
from mprd.system import group
from mprd.system.ram import relation_bytes
from mprd.system.torch_setup import select_device
from mprd.training.epoch import (
    EpochResult,
    EpochTrainer,
    make_optimizer,
    train_epoch,
)

SETTINGS = ("train", "augment", "seed", "use_gcn", "precision", "cluster.relation")
# Widths and node features of the GCN come with its weights.
SETTINGS_WHEN = (
    ({"use_gcn": True}, ("gcn.learn", "gcn.neighbors")),
    (
        {"use_gcn": True, "gcn.learn": True},
        (
            "gcn.unlabelled",
            "gcn.batch",
            "gcn.inner_steps",
            "gcn.inner_rate",
            "gcn.outer_rate",
            "gcn.update",
        ),
    ),
    (
        {"use_gcn": True, "gcn.learn": True, "gcn.unlabelled.source": "strict"},
        ("cluster.min_samples",),
    ),
)


@exclusive
def run_train(inputs: EpochInputs, *, out: EpochLayout, epoch: int, config: Config) -> None:
    """Train one epoch; write model, state and metrics, with `use_gcn` also GCN and judgements.

    Args:
        inputs: files of this epoch and the one before.
        out: files of this epoch.
        epoch: 1-based.
        config: of the run.

    Raises:
        UserError: inputs missing, damaged, stale or of another run; fewer labelled images than
            a batch; a loss that is NaN; too little memory.
    """
    _require_options(inputs, epoch, config)
    index = read_index(inputs.index)
    device = select_device(config.device)
    rows = split_rows(index, "train")
    cameras, identity = index["camera"][rows], index["identity"][rows]
    store = open_store(inputs.pixels, index, rows, device)
    features, clusters, previous = _read_labels(inputs, index)
    _require_clusters(clusters, config, inputs.clusters)
    network, model = read_network(inputs.model, config, device)
    _require_model(features, model, inputs)
    _require_memory(network, store, features["features"].nbytes, cameras, config)
    optimizer = make_optimizer(network, config.train, epoch)
    generator = torch.Generator().manual_seed(config.seed)
    if inputs.state is not None:
        restore_state(inputs.state, epoch, optimizer, generator)
    # All randomness of the epoch follows from three draws, so only this generator is carried on.
    plan_seed, device_seed, gcn_seed = torch.randint(2**62, (3,), generator=generator).tolist()
    digests = {"index": index.digest, "pixels": store.digest, "model": model}
    digests |= {"features": features.digest, "clusters": clusters.digest}
    start = MemoryInputs(
        features=torch.from_numpy(features["features"]).to(device),
        labels=torch.from_numpy(clusters["labels"]).long().to(device),
        cameras=torch.from_numpy(cameras).long().to(device),
        weights=torch.from_numpy(_weights(clusters, config.train)).to(device),
    )
    memory = MEMORIES[config.train.memory](start, config.train)
    pairs = _hard_pairs(memory, previous)
    relation = None
    if config.use_gcn:
        from mprd.stages.relation_epoch import RelationEpoch, read_relation_files

        files = read_relation_files(inputs, index, clusters, features)
        digests |= files.digests
        relation = RelationEpoch(
            files,
            memory=memory.instances,
            features=features["features"],
            cameras=cameras,
            cnn=network,
            store=store,
            config=config,
            seed=gcn_seed,
        )
    trainer = EpochTrainer(
        network=network,
        optimizer=optimizer,
        memory=memory,
        pairs=pairs,
        settings=config.train,
        augmentation=config.augment,
        generator=torch.Generator(device).manual_seed(device_seed),
        # Without hard pairs there is nothing to filter, and no similarity to keep up with.
        pair_filter=relation.filter if relation and config.train.uses_pairs else None,
    )
    began = time.perf_counter()
    result = train_epoch(trainer, store, cameras, epoch, np.random.default_rng(plan_seed))
    if not group.writes():
        return
    if previous is not None:
        digests["previous_clusters"] = previous.digest
    write_network(out, network, trainer_state(optimizer, generator, epoch), config, digests)
    report = _metrics(result, epoch, optimizer)
    if relation is not None:
        report["relations"] = relation.write(out, identity, digests)
    write_json(out.metrics, report)
    seconds = time.perf_counter() - began
    print(
        f"{log_prefix(out.metrics)}loss {report['loss']:.3f}, {config.train.iters} steps in "
        f"{seconds:.0f} s"
    )


def _require_options(inputs: EpochInputs, epoch: int, config: Config) -> None:
    """Check that the files given fit the epoch and the config."""
    use_gcn = config.use_gcn
    for path in (inputs.graph, inputs.metadata, inputs.gcn):
        if (path is not None) != use_gcn:
            raise UserError(
                "Options --graph, --metadata and --gcn go with use_gcn: true, all or none; "
                f"use_gcn is {str(use_gcn).lower()} in the config."
            )
    if inputs.ranks is not None and not use_gcn:
        raise UserError("Option --ranks goes with use_gcn: true; it is false in the config.")
    if (inputs.provisional_clusters is not None) != config.uses_judgements:
        raise UserError(
            "Option --drafts goes with cluster.relation: judged; it is "
            f"{config.cluster.relation} in the config."
        )
    first = epoch == FIRST_EPOCH
    if first != (inputs.state is None) or first != (inputs.previous_clusters is None):
        raise UserError(
            f"Epoch {epoch} {'takes no' if first else 'needs the'} state and clusters of the "
            "epoch before (--state, --previous-clusters)."
        )


def _require_model(features: Artifact, model: str, inputs: EpochInputs) -> None:
    if features.inputs["model"] != model:
        raise UserError(
            f"{inputs.features} was made by another model than {inputs.model}. "
            "Make it again with `mprd features`."
        )


def _weights(clusters: Artifact, settings: TrainConfig) -> np.ndarray:
    """Return how much each image counts: its membership over the mean of its cluster, float32."""
    if not settings.member_weights:
        return np.ones(len(clusters["labels"]), np.float32)
    return relative_membership(clusters["membership"], clusters["labels"])


def _hard_pairs(memory: Memory, previous: Artifact | None) -> HardPairs:
    if previous is None:
        return HardPairs(memory.labels, None)
    before = torch.from_numpy(previous["labels"]).long()
    return HardPairs(memory.labels, before.to(memory.labels.device))


def _read_labels(
    inputs: EpochInputs, index: Artifact
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


def _require_clusters(clusters: Artifact, config: Config, path: Path) -> None:
    relation = clusters.attributes["relation"]
    if config.uses_judgements != (relation == "judged"):
        raise UserError(
            f"{path} was made by relation {relation}, the config says {config.cluster.relation}. "
            "Make it again with `mprd cluster`."
        )
    labelled = int((clusters["labels"] >= 0).sum())
    batch = config.train.identities * config.train.instances
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
        more += relation_bytes(len(store), network.dim, len(np.unique(cameras)), config.graph.k1)
    require_memory_for_training("train", network, store, images, more)


def _metrics(result: EpochResult, epoch: int, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    # PPA is named even where it is off: readers of older files know it.
    means = {"ppa": None} | {name: fmean(values) for name, values in result.terms.items()}
    return {
        "schema": "mprd.metrics",
        "epoch": epoch,
        "lr": optimizer.param_groups[0]["lr"],
        "loss": fmean(result.loss),
        **{f"{name}_loss": value for name, value in means.items()},
        "mean_hard_positives": result.mean_positives,
        "mean_hard_negatives": result.mean_negatives,
        "step_loss": result.loss,
    }
