"""What the stages of the relation GCN read: a network, ranks, clusters with doubtful pairs."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from mprd.artifacts import CLUSTERS, METADATA, RANKS, Artifact
from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.data.transforms import view_pixels
from mprd.errors import UserError
from mprd.gcn.camera_ranks import LEVELS
from mprd.gcn.learning import TaskSource
from mprd.gcn.networks.registry import RelationNetwork
from mprd.gcn.relation_tasks import RelationTasks
from mprd.gcn.weights import load_gcn
from mprd.inference.batches import BatchSetting
from mprd.inference.embed import embed_pixels
from mprd.models.network import ReidNetwork
from mprd.pipeline.layout import EpochLayout, RunLayout
from mprd.pipeline.lineage import Lineage

_GIVE_THAT_BEFORE = (
    f"Give {EpochLayout.roles()['gcn'].name} of the epoch before, or in epoch 1 "
    f"{RunLayout.roles()['initial_gcn'].name}."
)


def read_gcn(lineage: Lineage, path: Path, dim: int) -> RelationNetwork:
    """Read a relation GCN for embeddings of size D.

    Raises:
        UserError: missing, damaged, trained on other images, or made for another size.
    """
    network, header = load_gcn(path, dim)
    lineage.add("gcn", path, header["digest"], json.loads(header["inputs"]), "pretrain")
    return network


def require_epoch_before(lineage: Lineage, gcn: Path, model: Path, *, fixed: bool = False) -> None:
    """Check that a relation GCN and a CNN are of the same epoch, the one before.

    Where both come out of an epoch, both were made from its features. The pre-trained GCN was made
    with the initial CNN.

    Args:
        lineage: of a stage that has read both.
        gcn: where the GCN was read from.
        model: where the CNN was read from.
        fixed: the pre-trained GCN may serve in every epoch: it learns nothing (`gcn.learn`).

    Raises:
        UserError: they are not.
    """
    made, cnn = lineage.origins["gcn"], lineage.origins["model"]
    if _learned(made):
        fits = made["features"] == cnn.get("features")
    else:
        fits = fixed or ("features" not in cnn and made["model"] == lineage.digests["model"])
    if not fits:
        raise UserError(
            f"{gcn} is not the relation GCN of the epoch before, which {model} is of. "
            f"{_GIVE_THAT_BEFORE}"
        )


def refuse_same_epoch(lineage: Lineage, gcn: Path) -> None:
    """Check that a relation GCN has not learned from the epoch whose features are at hand.

    Raises:
        UserError: it has.
    """
    made = lineage.origins["gcn"]
    if _learned(made) and made["features"] == lineage.digests["features"]:
        raise UserError(f"{gcn} has learned from this epoch. {_GIVE_THAT_BEFORE}")


def _learned(inputs: Mapping[str, str]) -> bool:
    """Tell whether a relation GCN comes out of an epoch, by what it was made from."""
    return "collected" in inputs


def read_metadata(lineage: Lineage, path: Path, dim: int) -> Artifact:
    """Read `metadata.h5` for embeddings of size D.

    Raises:
        UserError: of another data set or another backbone width.
    """
    metadata = lineage.read("metadata", path, METADATA)
    width = metadata["features"].shape[1]
    if width != dim:
        raise UserError(
            f"{path} holds embeddings of size {width}, the model makes {dim}. "
            "Make it again with `mprd metadata`."
        )
    return metadata


def read_ranks(lineage: Lineage, path: Path | None, cameras: np.ndarray) -> Artifact | None:
    """Read `ranks.h5`, if there is one.

    Args:
        lineage: of the stage.
        path: the file.
        cameras: int (N,), camera of each training image, -1 unknown.

    Raises:
        UserError: made from other features, or for other cameras.
    """
    if path is None:
        return None
    ranks = lineage.read("ranks", path, RANKS)
    shape = (len(cameras), len(np.unique(cameras)), len(LEVELS))
    if ranks["cosine"].shape != shape:
        raise UserError(
            f"{path} holds ranks {ranks['cosine'].shape}, {shape} are needed. "
            "Make it again with `mprd ranks`."
        )
    return ranks


def read_doubtful(lineage: Lineage, keyword: str, path: Path) -> Artifact:
    """Read the clusters inside which the GCN finds doubtful pairs.

    They are clusters by distance: inside clusters of its own predictions it would find no doubts.

    Args:
        lineage: of the stage.
        keyword: of the file in the stage table.
        path: the file.

    Raises:
        UserError: missing, damaged, of another run, or made from predictions.
    """
    clusters = lineage.read(keyword, path, CLUSTERS)
    if clusters.attributes["relation"] != "jaccard":
        raise UserError(
            f"{clusters.path} was made from judgements; the relation GCN learns inside clusters by "
            "distance. Give drafts.h5, made by `mprd cluster` without --judgements."
        )
    return clusters


def unlabelled_tasks(
    relations: RelationTasks,
    *,
    cnn: ReidNetwork,
    store: PixelStore,
    eps: float,
    config: Config,
    tasks: int,
) -> TaskSource:
    """Find the unlabelled pairs of `gcn.unlabelled` in an epoch.

    Args:
        relations: of the epoch.
        cnn: the network that made its features; read only by source `views`.
        store: the training images; likewise.
        eps: radius that gave the epoch's labels.
        config: `gcn.unlabelled`, `cluster` and `augment` are read.
        tasks: how many tasks.
    """
    if config.gcn.unlabelled.source != "views":
        return relations.unlabelled_tasks(config.cluster, eps, tasks)
    count = min(config.gcn.unlabelled.images, len(store))
    chosen = torch.randperm(len(store), generator=relations.generator)[:count].sort().values
    seed = int(torch.randint(2**62, (1,), generator=relations.generator))
    draws = torch.Generator(store.device).manual_seed(seed)
    views = view_pixels(store.batch(chosen), config.augment, cnn.statistics, draws)
    embedded = embed_pixels(cnn, views, store.device, config.features.batch)
    return relations.view_tasks(chosen.to(store.device), embedded, tasks)


def embed_nodes(
    metadata: Artifact,
    features: np.ndarray,
    cnn: ReidNetwork,
    store: PixelStore,
    batch: BatchSetting,
) -> np.ndarray:
    """Return the embeddings of the metadata nodes by a model, float32 (m, D).

    Args:
        metadata: `metadata.h5`.
        features: float32 (N, D), of the training images by this model.
        cnn: the model.
        store: the training images.
        batch: images that it embeds at once.
    """
    nodes = features[metadata["row"]].copy()
    views = metadata["view"] >= 0
    if views.any():
        pixels = torch.from_numpy(metadata["pixels"])
        nodes[views] = embed_pixels(cnn, pixels, store.device, batch)
    return nodes
