"""Embed images of a pixel store."""

import numpy as np
import torch
import torch.nn.functional as F

from mprd.data.pixels import PixelStore, normalize_pixels
from mprd.errors import UserError
from mprd.inference.batches import CPU_BATCH, Batches, BatchSetting, batch_size
from mprd.models.footprint import footprint
from mprd.models.network import ReidNetwork
from mprd.system import group
from mprd.system.progress import progress


def embed_store(
    network: ReidNetwork,
    store: PixelStore,
    device: torch.device,
    *,
    flip: bool = False,
    batch: BatchSetting = "auto",
) -> np.ndarray:
    """Return the embeddings of all images of a store, in eval mode; a group shares the work.

    Args:
        network: on `device`.
        store: images of the size the network was made for.
        device: where to compute.
        flip: add the embedding of the mirrored image and normalise again.
        batch: images at once; auto: by the memory of the device.

    Returns:
        float32 (N, D), rows of unit length.

    Raises:
        UserError: the images have another size, or the network returns NaN.
    """
    shape = network.architecture
    if store.shape[1:3] != (shape.height, shape.width):
        raise UserError(
            f"{store.path} holds images of {store.shape[1]}x{store.shape[2]}, the model was made "
            f"for {shape.height}x{shape.width}. Make both again from the same config."
        )
    network.eval()
    size = batch_size(network, device, batch)
    # Whole batches go to one process, so that each is what it is in a process alone.
    mine = group.share(len(store), size)
    positions = torch.arange(mine.start, mine.stop)
    batches = positions.split(size) if len(positions) else ()
    features = np.empty((len(positions), network.dim), np.float32)
    embed = Batches(lambda pixels: _embedded(network, pixels, flip=flip), size)
    for number, rows in enumerate(progress(batches, desc="features", unit="batch")):
        pixels = store.batch(rows)
        if number + 1 < len(batches):
            store.ahead(batches[number + 1])
        with torch.inference_mode():
            features[rows - mine.start] = embed(pixels).float().cpu().numpy()
    features = group.gather(torch.from_numpy(features), len(store), size).numpy()
    if not np.isfinite(features).all():
        raise UserError("The model returns NaN embeddings: its training has diverged.")
    return features


def _embedded(network: ReidNetwork, pixels: torch.Tensor, *, flip: bool) -> torch.Tensor:
    images = normalize_pixels(pixels, network.statistics)
    embedded = network(images)
    return F.normalize(embedded + network(images.flip(3)), dim=1) if flip else embedded


def embed_pixels(
    network: ReidNetwork,
    pixels: torch.Tensor,
    device: torch.device,
    batch: BatchSetting = "auto",
) -> np.ndarray:
    """Return the embeddings of a few images, in eval mode.

    Args:
        network: on `device`.
        pixels: uint8 (n, H, W, 3), of the size the network was made for.
        device: where to compute.
        batch: images at once; auto: by the memory of the device.

    Returns:
        float32 (n, D), rows of unit length.
    """
    network.eval()
    embed = Batches(
        lambda part: network(normalize_pixels(part.to(device), network.statistics)),
        batch_size(network, device, batch),
    )
    with torch.inference_mode():
        return embed(pixels).float().cpu().numpy()


def largest_map(network: ReidNetwork, device: torch.device, batch: BatchSetting) -> int:
    """Return the bytes of main memory that the largest feature map of a batch takes.

    Args:
        network: on the CPU; it is set to eval mode.
        device: where it will compute; 0 bytes on a GPU, whose maps are on the card.
        batch: images at once.
    """
    if device.type != "cpu":
        return 0
    return cpu_batch(batch) * footprint(network.eval()).largest


def cpu_batch(batch: BatchSetting) -> int:
    """Return how many images are embedded at once on a CPU."""
    return CPU_BATCH if batch == "auto" else batch
