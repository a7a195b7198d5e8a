"""What several stages share: the index of a run and the images of a split."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mprd.artifacts import INDEX, Artifact, read_artifact
from mprd.errors import UserError

if TYPE_CHECKING:  # stages without torch use this module too
    import torch

    from mprd.data.pixels import PixelStore
    from mprd.models.network import ReidNetwork


def read_index(path: Path) -> Artifact:
    """Read `index.h5`."""
    return read_artifact(path, INDEX)


def open_store(
    pixels: Path, index: Artifact, rows: np.ndarray, device: "torch.device"
) -> "PixelStore":
    """Open the images of some rows and check that they belong to the index.

    Raises:
        UserError: the pixels were made from another index.
    """
    from mprd.data.pixels import PixelStore

    store = PixelStore(pixels, rows, device)
    if store.index_digest != index.digest:
        raise UserError(
            f"{pixels} was made from another index than {index.path}: it is stale or belongs to "
            "another run. Make it again with `mprd pixels`."
        )
    return store


def require_for_inference(
    stage: str, network: "ReidNetwork", store: "PixelStore", more: int = 0
) -> None:
    """Check that there is memory to embed a store.

    Args:
        stage: its name.
        network: in eval mode.
        store: the images.
        more: bytes that the stage takes beside that.

    Raises:
        UserError: more is needed than is free.
    """
    from mprd.inference.embed import largest_map
    from mprd.system.ram import held_pixels, inference_bytes, require

    embeddings = 4 * len(store) * network.dim
    largest = largest_map(network, store.device)
    need = inference_bytes(largest, held_pixels(store.size), embeddings)
    require(stage, need + more, "Take a machine with more memory, or a smaller data.height/width.")


def require_for_training(
    stage: str, network: "ReidNetwork", store: "PixelStore", images: int, more: int = 0
) -> None:
    """Check that there is memory for training steps.

    Args:
        stage: its name.
        network: in eval mode.
        store: the training images.
        images: in a step, all views.
        more: bytes that the stage takes beside that.

    Raises:
        UserError: more is needed than is free.
    """
    from mprd.models.footprint import footprint
    from mprd.system.ram import held_pixels, require, training_bytes

    sizes = footprint(network)
    # On a GPU the feature maps are on the card.
    activations = sizes.activations if store.device.type == "cpu" else 0
    need = training_bytes(activations, images, sizes.weights, held_pixels(store.size))
    require(stage, need + more, "Set a smaller batch, data.height or data.width.")
