"""Stage `train`: one epoch of the CNN."""

import time
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, Artifact, write_json
from mprd.clustering.membership import relative_membership
from mprd.config import Config, TrainConfig
from mprd.data.index import split_rows
from mprd.errors import UserError, many
from mprd.losses.memories.registry import MEMORIES, Memory, MemoryInputs
from mprd.pairs.hard_pairs import HardPairs
from mprd.pipeline.files import require_given
from mprd.pipeline.layout import FIRST_EPOCH, EpochLayout, log_prefix
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import require_memory
from mprd.stages.epoch_state import restore_state, trainer_state, write_network
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import open_images, read_model, training_sizes
from mprd.system import group
from mprd.system.durations import duration, epoch_seconds, seconds_since_start
from mprd.system.torch_setup import select_device
from mprd.training.checks import require_sound
from mprd.training.epoch import EpochResult, make_optimizer, train_epoch
from mprd.training.pace import Pace
from mprd.training.step import EpochTrainer
from mprd.training.weight_mean import WeightMean


@exclusive
def run_train(
    *,
    index: Path,
    pixels: Path,
    features: Path,
    clusters: Path,
    model: Path,
    out: Path,
    epoch: int,
    config: Config,
    previous_clusters: Path | None = None,
    state: Path | None = None,
    graph: Path | None = None,
    doubtful: Path | None = None,
    gcn: Path | None = None,
    ranks: Path | None = None,
) -> None:
    """Train one epoch; write model, state and metrics, with `use_gcn` also what the GCN needs.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        features: `features.h5` of this epoch.
        clusters: `clusters.h5` of this epoch.
        model: the CNN of the epoch before.
        out: folder of this epoch.
        epoch: 1-based.
        config: of the run.
        previous_clusters: `clusters.h5` of the epoch before; None in epoch 1.
        state: `state.pt` of the epoch before; None in epoch 1.
        graph: `graph.h5` of this epoch, where the relation GCN filters hard pairs.
        doubtful: clusters by Jaccard distance of this epoch, likewise.
        gcn: the relation GCN of the epoch before, likewise.
        ranks: `ranks.h5` of this epoch (`graph.backend: ivf`), likewise.

    Raises:
        UserError: inputs missing, damaged, stale or of another run; fewer labelled images than
            a batch; training that diverges; too little memory.
    """
    given = {"graph": graph, "doubtful": doubtful, "gcn": gcn, "ranks": ranks}
    given |= {"previous_clusters": previous_clusters, "state": state}
    require_given("train", given, config, step=epoch)
    here, lineage = EpochLayout(out), Lineage("train")
    images = lineage.read("index", index, INDEX)
    device = select_device(config.device)
    rows = split_rows(images, "train")
    cameras = images["camera"][rows]
    store = open_images(lineage, pixels, images, rows, device)
    embedded = lineage.read("features", features, FEATURES)
    labelled = lineage.read("clusters", clusters, CLUSTERS)
    _require_clusters(labelled, config, clusters)
    network = read_model(lineage, model, config.precision)
    network = network.to(device).to(memory_format=torch.channels_last)
    sizes = training_sizes(network, store, cameras=len(np.unique(cameras)))
    require_memory("train", sizes, config)
    optimizer = make_optimizer(network, config.train, epoch)
    generator = torch.Generator().manual_seed(config.seed)
    before = config.train.epochs_averaged(epoch)
    mean = WeightMean(network, before) if before else None  # the model of the epoch before is it
    if state is not None:
        restore_state(state, epoch, optimizer, generator, network if before > 1 else None)
    # All randomness of the epoch follows from three draws, so only this generator is carried on.
    plan_seed, device_seed, relation_seed = torch.randint(2**62, (3,), generator=generator).tolist()
    start = MemoryInputs(
        features=torch.from_numpy(embedded["features"]).to(device),
        labels=torch.from_numpy(labelled["labels"]).long().to(device),
        cameras=torch.from_numpy(cameras).long().to(device),
        weights=torch.from_numpy(_weights(labelled, config.train)).to(device),
    )
    memory = MEMORIES[config.train.memory](start, config.train)
    pair_filter = None
    if graph is not None and doubtful is not None and gcn is not None:
        from mprd.clustering.tracks import TrackGroups
        from mprd.stages.relation_filter import open_filter
        from mprd.stages.relation_inputs import require_epoch_before

        pair_filter = open_filter(
            lineage,
            memory.instances,
            cameras,
            TrackGroups.of_tracks(images["track"][rows]),
            graph=graph,
            doubtful=doubtful,
            gcn=gcn,
            ranks=ranks,
            settings=config.gcn,
            seed=relation_seed,
        )
        require_epoch_before(lineage, gcn, model, fixed=True)
    trainer = EpochTrainer(
        network=network,
        optimizer=optimizer,
        memory=memory,
        pairs=_hard_pairs(memory, lineage, previous_clusters),
        settings=config.train,
        augmentation=config.augment,
        generator=torch.Generator(device).manual_seed(device_seed),
        pair_filter=pair_filter,
    )
    began = time.perf_counter()
    pace = _announcing(here, config, len(rows)) if epoch == FIRST_EPOCH else None
    result = train_epoch(trainer, store, cameras, epoch, np.random.default_rng(plan_seed), pace)
    if not group.writes():
        return
    require_sound(network, optimizer, store, f"Lower train.lr (now {config.train.lr:g}).")
    digests = lineage.digests
    left = None if mean is None else mean.add(network)
    write_network(here, network, trainer_state(optimizer, generator, epoch, left), config, digests)
    report = _metrics(result, epoch, optimizer)
    if config.use_gcn:
        from mprd.stages.relation_filter import write_relations

        identity = images["identity"][rows]
        report["relations"] = write_relations(
            here, pair_filter, identity, config, digests, seed=relation_seed
        )
    write_json(here.metrics, report)
    seconds = time.perf_counter() - began
    print(
        f"{log_prefix(here.metrics)}loss {report['loss']:.3f}, {many(config.train.iters, 'step')} "
        f"in {seconds:.0f} s"
    )


def _announcing(here: EpochLayout, config: Config, images: int) -> Pace | None:
    """Return what says in the first epoch how long all of them take; None: another process does.

    The relation GCN is not counted: it takes its time elsewhere.
    """
    if not group.writes():
        return None
    start = seconds_since_start()

    def tell(step: float) -> None:
        epoch = epoch_seconds(
            step=step,
            iters=config.train.iters,
            batch=config.train.identities * config.train.instances,
            images=images,
            start=start,
            epochs_per_job=config.epochs_per_job,
        )
        print(
            f"{log_prefix(here.metrics)}a step takes {step:.2g} s, so "
            f"{many(config.epochs, 'epoch')} take "
            f"about {duration(config.epochs * epoch)}"
            + (", the relation GCN not counted" if config.use_gcn else ""),
            flush=True,
        )

    return Pace(tell)


def _weights(clusters: Artifact, settings: TrainConfig) -> np.ndarray:
    """Return how much each image counts: its membership over the mean of its cluster, float32."""
    if not settings.member_weights:
        return np.ones(len(clusters["labels"]), np.float32)
    return relative_membership(clusters["membership"], clusters["labels"])


def _hard_pairs(memory: Memory, lineage: Lineage, previous: Path | None) -> HardPairs:
    if previous is None:
        return HardPairs(memory.labels, None)
    before = lineage.read("previous_clusters", previous, CLUSTERS)
    labels = torch.from_numpy(before["labels"]).long()
    return HardPairs(memory.labels, labels.to(memory.labels.device))


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
            f"{path} gives a label to {many(labelled, 'image')}, fewer than a batch of {batch} "
            "(train.identities x train.instances). Raise cluster.eps, lower cluster.min_samples, "
            "or take a smaller batch."
        )


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
