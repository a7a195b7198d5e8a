"""Stage `metadata`: a few pairs known with certainty, for the relation GCN."""

from pathlib import Path

import numpy as np
import torch

from mprd.artifacts import FEATURES, GRAPH, INDEX, METADATA, Artifact, write_artifact
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.data.pixels import PixelStore
from mprd.data.transforms import view_pixels
from mprd.errors import UserError, many
from mprd.gcn.metadata import (
    MetadataPairs,
    choose_dissimilar,
    pair_identities,
    pair_views,
    read_judgements,
    read_labels,
)
from mprd.inference.embed import embed_pixels
from mprd.models.network import ReidNetwork
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import require_memory
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.stages.network_inputs import inference_sizes, open_images, read_model
from mprd.system.torch_setup import select_device


@exclusive
def run_metadata(
    *,
    index: Path,
    pixels: Path,
    model: Path,
    features: Path,
    graph: Path,
    out: Path,
    config: Config,
) -> None:
    """Write the metadata pairs of `gcn.metadata`.

    Args:
        index: `index.h5`.
        pixels: `pixels.h5`.
        model: the initial CNN.
        features: `features.h5` of epoch 1, made by it.
        graph: `graph.h5` of epoch 1.
        out: `metadata.h5` to write.
        config: `gcn.metadata`, `augment`, `seed` and `device` are read.

    Raises:
        UserError: an input is missing, damaged or of another run; a CSV that does not fit; fewer
            images than asked for, or no dissimilar ones.
    """
    lineage = Lineage("metadata")
    images = lineage.read("index", index, INDEX)
    device = select_device(config.device)
    rows = split_rows(images, "train")
    store = open_images(lineage, pixels, images, rows, device)
    network = read_model(lineage, model, config.precision)
    require_memory("metadata", inference_sizes(network, store, config.features.batch), config)
    embedded = lineage.read("features", features, FEATURES)
    neighbors = lineage.read("graph", graph, GRAPH, ("neighbors",))
    settings = config.gcn.metadata
    if settings.source == "views":
        arrays, similarity = _views(
            network.to(device),
            store,
            embedded["features"],
            neighbors["neighbors"],
            images["camera"][rows],
            config,
        )
    else:
        arrays, similarity = _known(images, rows, store, embedded["features"], config)
    positive = int(arrays["same"].sum())
    print(
        f"Metadata from {settings.source}: {len(arrays['row'])} nodes, {many(positive, 'pair')} of "
        f"one identity, {len(arrays['same']) - positive} of two"
        + (f"; images are at most {similarity:.2f} alike." if settings.source == "views" else ".")
    )
    write_artifact(
        out,
        METADATA,
        arrays,
        config=stage_settings(config, "metadata"),
        inputs=lineage.digests,
        seed=config.seed,
        attributes={"source": settings.source, "max_similarity": similarity},
    )


def _views(
    network: ReidNetwork,
    store: PixelStore,
    features: np.ndarray,
    neighbors: np.ndarray,
    cameras: np.ndarray,
    config: Config,
) -> tuple[dict[str, np.ndarray], float]:
    settings = config.gcn.metadata
    chosen, similarity = choose_dissimilar(
        features, neighbors, cameras, settings.images, config.seed
    )
    generator = torch.Generator(store.device).manual_seed(config.seed)
    row = chosen.repeat(settings.views)
    views = view_pixels(store.batch(row), config.augment, network.statistics, generator)
    embedded = embed_pixels(network, views, store.device, config.features.batch)
    number = np.tile(np.arange(settings.views), len(chosen))
    return _arrays(
        row, number, embedded, views.cpu().numpy(), pair_views(embedded, row)
    ), similarity


def _known(
    index: Artifact, rows: np.ndarray, store: PixelStore, features: np.ndarray, config: Config
) -> tuple[dict[str, np.ndarray], float]:
    settings = config.gcn.metadata
    if settings.file is None:
        raise UserError("gcn.metadata.file is not set.")
    paths = {str(path): n for n, path in enumerate(index["path"][rows])}
    if settings.source == "labels":
        row, identity = read_labels(settings.file, paths)
        pairs = pair_identities(features[row], identity)
    else:
        row, pairs = read_judgements(settings.file, paths)
    none = np.empty((0, *store.shape[1:]), np.uint8)
    number = np.full(len(row), -1)
    return _arrays(row, number, features[row], none, pairs), float("nan")


def _arrays(
    row: np.ndarray,
    view: np.ndarray,
    features: np.ndarray,
    pixels: np.ndarray,
    pairs: MetadataPairs,
) -> dict[str, np.ndarray]:
    return {
        "row": row.astype(np.int64),
        "view": view.astype(np.int16),
        "features": features.astype(np.float32),
        "pixels": pixels,
        "pairs": pairs.pairs.astype(np.int64),
        "same": pairs.same.astype(np.uint8),
    }
