"""What the relation GCN learns from, before and in each epoch: metadata and unlabelled pairs."""

import json
from pathlib import Path

import numpy as np
import torch

from mprd.artifacts import METADATA, RANKS, Artifact, read_artifact
from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.data.transforms import view_pixels
from mprd.errors import UserError
from mprd.gcn.camera_ranks import LEVELS
from mprd.gcn.learning import TaskSource
from mprd.gcn.relation_tasks import RelationTasks
from mprd.inference.embed import embed_pixels
from mprd.models.network import ReidNetwork
from mprd.pipeline.lineage import require_parent


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


def read_ranks(path: Path | None, features: Artifact, cameras: np.ndarray) -> Artifact | None:
    """Read `ranks.h5`, if there is one, and check that it is of these images.

    Args:
        path: the file.
        features: of the epoch.
        cameras: int (N,), of the images, -1 unknown.

    Raises:
        UserError: made from other features, or for other cameras.
    """
    if path is None:
        return None
    ranks = read_artifact(path, RANKS)
    require_parent(ranks, "features", features.digest, features.path)
    shape = (len(cameras), len(np.unique(cameras)), len(LEVELS))
    if ranks["cosine"].shape != shape:
        raise UserError(
            f"{path} holds ranks {ranks['cosine'].shape}, {shape} are needed. "
            "Make it again with `mprd ranks`."
        )
    return ranks


def require_clusters_by_distance(clusters: Artifact) -> None:
    """Check that clusters were made by distance: inside its own ones the GCN finds no doubts.

    Raises:
        UserError: they were made from judgements.
    """
    if clusters.attributes["relation"] != "jaccard":
        raise UserError(
            f"{clusters.path} was made from judgements; the relation GCN learns inside clusters by "
            "distance. Give drafts.h5, made by `mprd cluster` without --judgements."
        )


def require_same_data(header: dict[str, str], index: Artifact, path: Path) -> None:
    """Check that a relation GCN was trained on the images of an index.

    Args:
        header: of the GCN's file.
        index: of the run.
        path: of the GCN, for the message.

    Raises:
        UserError: it was trained on other images.
    """
    if json.loads(header["inputs"]).get("index") != index.digest:
        raise UserError(
            f"{path} was trained on another data set than {index.path}. "
            "Make it again with `mprd pretrain`."
        )


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
        cnn: the network that made its features; used by source `views` alone.
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
    views = view_pixels(store.batch(chosen), config.augment, draws)
    embedded = embed_pixels(cnn, views, store.device)
    return relations.view_tasks(chosen.to(store.device), embedded, tasks)


def embed_nodes(
    metadata: Artifact, features: np.ndarray, cnn: ReidNetwork, store: PixelStore
) -> np.ndarray:
    """Return the embeddings of the metadata nodes by a model, float32 (m, D).

    Args:
        metadata: `metadata.h5`.
        features: float32 (N, D), of the training images by this model.
        cnn: the model.
        store: the training images.
    """
    nodes = features[metadata["row"]].copy()
    views = metadata["view"] >= 0
    if views.any():
        pixels = torch.from_numpy(metadata["pixels"])
        nodes[views] = embed_pixels(cnn, pixels, store.device)
    return nodes
