"""Refuse to embed or to train where too little memory is free for it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # slow to load
    from mprd.data.pixels import PixelStore
    from mprd.models.network import ReidNetwork


def require_memory_for_inference(
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


def require_memory_for_training(
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
