"""Stage `pretrain`: the relation GCN before the first epoch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mprd.artifacts import (
    CLUSTERS,
    FEATURES,
    GRAPH,
    METADATA,
    Artifact,
    read_artifact,
    write_json,
)
from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.data.transforms import view_pixels
from mprd.embedding import embed_pixels
from mprd.errors import UserError
from mprd.gcn.learning import TaskSource, build_gcn, train_gcn
from mprd.gcn.pairs import PairSet
from mprd.gcn.quality import judge_quality, set_quality
from mprd.gcn.surroundings import Surroundings
from mprd.gcn.weights import save_gcn
from mprd.memory import relation_bytes
from mprd.models import ReidNetwork, load_network
from mprd.provenance import require_parent, stage_settings
from mprd.runtime import select_device
from mprd.stages.common import open_store, read_index, require_for_inference, split_rows

_HELD_OUT = 0.2  # share of the images whose pairs are kept for the record


@dataclass(frozen=True)
class PretrainInputs:
    """The files that pre-training reads, all of the initial model.

    Attributes:
        index: `index.h5`.
        pixels: `pixels.h5`.
        model: the initial model.
        features: `features.h5` of epoch 1.
        graph: `graph.h5` of epoch 1.
        clusters: `clusters.h5` of epoch 1.
        metadata: `metadata.h5`.
    """

    index: Path
    pixels: Path
    model: Path
    features: Path
    graph: Path
    clusters: Path
    metadata: Path


def run_pretrain(inputs: PretrainInputs, out: Path, metrics: Path, config: Config) -> None:
    """Pre-train the relation GCN: Reptile on metadata tasks, then on unlabelled pairs.

    Args:
        inputs: files of the initial model.
        out: `pretrained.safetensors` to write.
        metrics: JSON to write: losses, and the quality on held-out pairs.
        config: `gcn`, `augment`, `cluster`, `seed` and `device` are read.

    Raises:
        UserError: an input is missing, damaged or of another run; no pairs of both kinds to
            learn from.
    """
    index = read_index(inputs.index)
    rows = split_rows(index, "train")
    device = select_device(config.device)
    features, graph, clusters, metadata = _read(inputs, index)
    cnn, header = load_network(inputs.model)
    _require_model(features, metadata, header["digest"], inputs)
    store = open_store(inputs.pixels, index, rows, device)
    cameras = index["camera"][rows]
    more = relation_bytes(len(rows), len(np.unique(cameras)), config.graph.k1)
    require_for_inference("pretrain", cnn, store, more)
    settings = config.gcn
    generator = torch.Generator().manual_seed(config.seed)
    network = build_gcn(settings, features["features"].shape[1], config.seed).to(device)
    labels = torch.from_numpy(clusters["labels"]).long().to(device)
    around = Surroundings(
        network,
        torch.from_numpy(features["features"]).to(device),
        graph,
        labels,
        cameras,
        settings,
        generator,
    )
    known = around.metadata(metadata, metadata["features"], settings.pretrain.metadata)
    eps = float(clusters.attributes["eps"])
    unlabelled = unlabelled_source(
        around, cnn.to(device), store, eps, config, settings.pretrain.unlabelled
    )
    train, held = _hold_out(
        unlabelled.pairs, len(unlabelled.judge.context), metadata["row"], generator
    )
    unlabelled = replace(unlabelled, pairs=train)
    _require_pairs([known, unlabelled], clusters.path)
    losses = train_gcn(network, [known], settings, generator)
    losses |= train_gcn(network, [unlabelled], settings, generator)
    report: dict[str, Any] = {"schema": "mprd.pretrain", "loss": losses}
    report["pairs"] = {s.name: _counts(s.pairs) for s in (known, unlabelled)}
    report["held_out"] = set_quality(unlabelled.judge, held)
    report["truth"] = judge_quality(around, index["identity"][rows])
    _print(report)
    digests = {"index": index.digest, "metadata": metadata.digest, "clusters": clusters.digest}
    save_gcn(
        out,
        network,
        config=stage_settings(config, "pretrain"),
        inputs={
            **digests,
            "features": features.digest,
            "graph": graph.digest,
            "model": header["digest"],
            "pixels": store.digest,
        },
        seed=config.seed,
    )
    write_json(metrics, report)


def _read(inputs: PretrainInputs, index: Artifact) -> tuple[Artifact, Artifact, Artifact, Artifact]:
    features = read_artifact(inputs.features, FEATURES)
    require_parent(features, "index", index.digest, inputs.index)
    graph = read_artifact(inputs.graph, GRAPH)
    require_parent(graph, "features", features.digest, inputs.features)
    clusters = read_artifact(inputs.clusters, CLUSTERS)
    require_parent(clusters, "graph", graph.digest, inputs.graph)
    metadata = read_metadata(inputs.metadata, index, features["features"].shape[1])
    return features, graph, clusters, metadata


def read_metadata(path: Path, index: Artifact, dim: int) -> Artifact:
    """Read `metadata.h5` and check that it fits the run.

    Args:
        path: the file.
        index: of the run.
        dim: embedding size D of the run's model.

    Raises:
        UserError: of another data set or another backbone width.
    """
    metadata = read_artifact(path, METADATA)
    require_parent(metadata, "index", index.digest, index.path)
    width = metadata["features"].shape[1]
    if width != dim:
        raise UserError(
            f"{path} holds embeddings of size {width}, the model makes {dim}. "
            "Make it again with `mprd metadata`."
        )
    return metadata


def unlabelled_source(
    around: Surroundings,
    network: ReidNetwork,
    store: PixelStore,
    eps: float,
    config: Config,
    tasks: int,
) -> TaskSource:
    """Find the unlabelled pairs of `gcn.unlabelled` in an epoch.

    Args:
        around: the epoch.
        network: the CNN that made its features; used by source `views` alone.
        store: the training images; likewise.
        eps: radius that gave the epoch's labels.
        config: `gcn.unlabelled`, `cluster`, `augment` and `seed` are read.
        tasks: how many tasks.
    """
    if config.gcn.unlabelled.source != "views":
        return around.unlabelled(config.cluster, eps, tasks)
    count = min(config.gcn.unlabelled.images, len(store))
    chosen = torch.randperm(len(store), generator=around.generator)[:count].sort().values
    seed = int(torch.randint(2**62, (1,), generator=around.generator))
    draws = torch.Generator(store.device).manual_seed(seed)
    views = view_pixels(store.batch(chosen), config.augment, draws)
    embedded = embed_pixels(network, views, store.device)
    return around.views(chosen.to(store.device), embedded, tasks)


def _require_model(
    features: Artifact, metadata: Artifact, model: str, inputs: PretrainInputs
) -> None:
    """Check that features and metadata were made by the model at hand."""
    require_parent(features, "model", model, inputs.model)
    require_parent(metadata, "model", model, inputs.model)


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
                f"negative {source.name} pairs with {path}; it needs both. Raise cluster.eps, "
                f"change gcn.unlabelled, or set gcn.pretrain.{source.name} to 0."
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
