"""Stage `pretrain`: the relation GCN before the first epoch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mprd.artifacts import FEATURES, GRAPH, INDEX, Artifact, write_json
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.data.pixels import PixelStore
from mprd.errors import UserError
from mprd.gcn.learning import TaskSource, build_gcn, train_gcn
from mprd.gcn.networks.registry import RelationNetwork
from mprd.gcn.pairs import PairSet
from mprd.gcn.quality import judge_quality, set_quality
from mprd.gcn.relation_tasks import RelationTasks
from mprd.gcn.weights import save_gcn
from mprd.models.network import ReidNetwork
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import inference_sizes, open_images, read_model
from mprd.stages.relation_inputs import read_doubtful, read_metadata, read_ranks, unlabelled_tasks
from mprd.system.torch_setup import select_device

_HELD_OUT = 0.2  # share of the images whose pairs are kept for the record


@exclusive
def run_pretrain(
    *,
    index: Path,
    pixels: Path,
    model: Path,
    features: Path,
    graph: Path,
    doubtful: Path,
    metadata: Path,
    out: Path,
    metrics: Path,
    config: Config,
    ranks: Path | None = None,
) -> None:
    """Pre-train the relation GCN: Reptile on metadata tasks, then on unlabelled pairs.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        model: the initial CNN.
        features: `features.h5` of epoch 1, made by it.
        graph: `graph.h5` of epoch 1.
        doubtful: clusters by Jaccard distance of epoch 1.
        metadata: `metadata.h5`.
        out: safetensors file to write.
        metrics: JSON to write: losses, and the quality on held-out pairs.
        config: of the run.
        ranks: `ranks.h5` of epoch 1; None: all images are compared.

    Raises:
        UserError: an input is missing, damaged or of another run; no pairs of both kinds to
            learn from.
    """
    lineage = Lineage("pretrain")
    images = lineage.read("index", index, INDEX)
    rows = split_rows(images, "train")
    device = select_device(config.device)
    found = {
        "features": lineage.read("features", features, FEATURES),
        "graph": lineage.read("graph", graph, GRAPH),
        "clusters": read_doubtful(lineage, "doubtful", doubtful),
    }
    cnn = read_model(lineage, model, config.precision)
    found["metadata"] = read_metadata(lineage, metadata, cnn.dim)
    store = open_images(lineage, pixels, images, rows, device)
    cameras = images["camera"][rows]
    searched = read_ranks(lineage, ranks, cameras)
    if searched is not None:
        found["ranks"] = searched
    sizes = inference_sizes(cnn, store, config.features.batch, cameras=len(np.unique(cameras)))
    require_memory("pretrain", sizes, config)
    network, report = _pretrain(
        found,
        cnn.to(device),
        store,
        cameras,
        TrackGroups.of_tracks(images["track"][rows]),
        images["identity"][rows],
        config,
    )
    _print(report)
    save_gcn(
        out,
        network,
        config=stage_settings(config, "pretrain"),
        inputs=lineage.digests,
        seed=config.seed,
    )
    write_json(metrics, report)


def _pretrain(
    found: dict[str, Artifact],
    cnn: ReidNetwork,
    store: PixelStore,
    cameras: np.ndarray,
    tracks: TrackGroups,
    identity: np.ndarray,
    config: Config,
) -> tuple[RelationNetwork, dict[str, Any]]:
    """Train a network on metadata tasks, then on unlabelled pairs; return it and the report."""
    settings, clusters = config.gcn, found["clusters"]
    features = found["features"]["features"]
    generator = torch.Generator().manual_seed(config.seed)
    network = build_gcn(settings, features.shape[1], config.seed).to(store.device)
    relations = RelationTasks(
        network=network,
        memory=torch.from_numpy(features).to(store.device),
        graph=found["graph"],
        labels=torch.from_numpy(clusters["labels"]).long().to(store.device),
        cameras=cameras,
        settings=settings,
        generator=generator,
        ranks=found.get("ranks"),
        tracks=tracks,
    )
    nodes = found["metadata"]["features"]
    known = relations.metadata_tasks(found["metadata"], nodes, settings.pretrain.metadata)
    unlabelled = unlabelled_tasks(
        relations,
        cnn=cnn,
        store=store,
        eps=float(clusters.attributes["eps"]),
        config=config,
        tasks=settings.pretrain.unlabelled,
    )
    train, held = _hold_out(
        unlabelled.pairs, len(unlabelled.judge.context), found["metadata"]["row"], generator
    )
    unlabelled = replace(unlabelled, pairs=train)
    _require_pairs([known, unlabelled], clusters.path)
    losses = train_gcn(network, [known], settings, generator)
    losses |= train_gcn(network, [unlabelled], settings, generator)
    return network, {
        "schema": "mprd.pretrain",
        "loss": losses,
        "pairs": {s.name: _counts(s.pairs) for s in (known, unlabelled)},
        "held_out": set_quality(unlabelled.judge, held),
        "truth": judge_quality(relations, identity),
    }


def _hold_out(
    pairs: PairSet, images: int, taught: np.ndarray, generator: torch.Generator
) -> tuple[PairSet, PairSet]:
    """Split pairs into those without a held-out image, and those with one.

    Args:
        pairs: any.
        images: nodes that pairs may name.
        taught: int64, images of the metadata, which are trained on and never held out.
        generator: on the CPU.
    """
    chosen = torch.rand(images, generator=generator) < _HELD_OUT
    chosen[torch.from_numpy(taught)] = False
    held = chosen.to(pairs.pairs.device)[pairs.pairs].any(dim=1)
    return pairs.part(~held), pairs.part(held)


def _require_pairs(sources: list[TaskSource], path: Path) -> None:
    for source in sources:
        if source.tasks and not source.pairs.usable():
            counts = _counts(source.pairs)
            raise UserError(
                f"The relation GCN finds {counts['same']} positive and {counts['different']} "
                f"negative {source.name} pairs with {path}; it needs both. A few dozen images are "
                "too few for it: go on without it (use_gcn: false, cluster.relation: jaccard), as "
                "the configs of `mprd new` do. With more images, raise cluster.eps, change "
                f"gcn.unlabelled, or set gcn.pretrain.{source.name} to 0."
            )


def _counts(pairs: PairSet) -> dict[str, int]:
    same = int(pairs.same.sum())
    return {"same": same, "different": len(pairs) - same}


def _print(report: dict[str, Any]) -> None:
    for name, values in report["held_out"].items():
        if isinstance(values, float):
            print(f"held-out {name} {values:.3f}", end="  ")
    print()
    truth = report["truth"]
    if truth is not None:
        print(
            f"true identities of doubtful pairs: AUC {truth['auc']:.3f} "
            f"(cosine {truth['auc_cosine']:.3f}, Jaccard {truth['auc_jaccard']:.3f})"
        )
