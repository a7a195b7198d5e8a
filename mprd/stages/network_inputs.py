"""What the stages of the network read: images, a network, and the memory that both will take."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mprd.artifacts import Artifact
from mprd.artifacts.workbench import file_identity, keep
from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.inference.batches import BatchSetting
from mprd.inference.embed import embed_store, largest_map
from mprd.models.backbones.registry import Architecture
from mprd.models.footprint import footprint
from mprd.models.network import Precision, ReidNetwork
from mprd.models.weights import load_network
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.memory import Sizes, require_memory
from mprd.system.torch_setup import select_device


def open_images(
    lineage: Lineage, pixels: Path, index: Artifact, rows: np.ndarray, device: torch.device
) -> PixelStore:
    """Open the images of some rows of an index; on a workbench they are read and uploaded once.

    Raises:
        UserError: missing, damaged, or made from another index.
    """
    store = keep(
        "images",
        (pixels.absolute(), file_identity(pixels), rows.tobytes(), device),
        lambda: PixelStore(pixels, rows, device),
        lambda kept: kept.memory,
    )
    lineage.add("pixels", pixels, store.digest, {"index": store.index_digest}, "pixels")
    return store


def read_model(lineage: Lineage, model: Path, precision: Precision) -> ReidNetwork:
    """Read a CNN of ours; on a workbench each stage builds it once, and it stays on its device.

    Raises:
        UserError: missing or damaged.
    """

    def build(architecture: Architecture) -> ReidNetwork:
        # One for each stage: they want it in other layouts.
        slot = f"network of {lineage.name}"
        network = keep(slot, architecture, lambda: ReidNetwork(architecture))
        network.zero_grad(set_to_none=True)
        return network

    network, header = load_network(model, precision, build)
    # A model may come from elsewhere: it is used on other images, too.
    inputs = json.loads(header["inputs"])
    lineage.add("model", model, header["digest"], inputs, "init", foreign=True)
    return network


def embed_images(
    lineage: Lineage, pixels: Path, index: Artifact, rows: np.ndarray, model: Path, config: Config
) -> np.ndarray:
    """Embed the images of some rows of an index, float32 (n, D), unit rows.

    Raises:
        UserError: a file is missing, damaged or of another run; NaN embeddings; too little memory.
    """
    device = select_device(config.device)
    store = open_images(lineage, pixels, index, rows, device)
    network = read_model(lineage, model, config.precision)
    if not len(rows):
        return np.empty((0, network.dim), np.float32)
    batch = config.features.batch
    require_memory(lineage.name, inference_sizes(network, store, batch), config)
    return embed_store(network.to(device), store, device, batch=batch)


def inference_sizes(
    network: ReidNetwork, store: PixelStore, batch: BatchSetting, **more: Any
) -> Sizes:
    """Return what the memory for embedding a store depends on.

    Args:
        network: in eval mode.
        store: the images.
        batch: images at once.
        more: other sizes of the stage.
    """
    return Sizes(
        images=len(store),
        dim=network.dim,
        largest=largest_map(network, store.device, batch),
        pixels=store.memory,
        **more,
    )


def training_sizes(network: ReidNetwork, store: PixelStore, **more: Any) -> Sizes:
    """Return what the memory for training steps depends on; arguments as `inference_sizes`."""
    sizes = footprint(network)
    # On a GPU the feature maps are on the card.
    activations = sizes.activations if store.device.type == "cpu" else 0
    return Sizes(
        images=len(store),
        dim=network.dim,
        activations=activations,
        weights=sizes.weights,
        pixels=store.memory,
        **more,
    )
