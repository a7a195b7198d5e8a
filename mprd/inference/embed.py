"""Embed images of a pixel store."""

import numpy as np
import torch
import torch.nn.functional as F

from mprd.data.pixels import PixelStore, normalize_pixels
from mprd.errors import UserError
from mprd.models.footprint import footprint
from mprd.models.network import ReidNetwork
from mprd.system import group
from mprd.system.progress import progress

CPU_BATCH = 64  # images that are embedded at once


def embed_store(
    network: ReidNetwork,
    store: PixelStore,
    device: torch.device,
    *,
    flip: bool = False,
    batch_size: int | None = None,
) -> np.ndarray:
    """Return the embeddings of all images of a store, in eval mode; a group shares the work.

    Args:
        network: on `device`.
        store: images of the size the network was made for.
        device: where to compute.
        flip: add the embedding of the mirrored image and normalise again.
        batch_size: images per forward pass; None: 256 on a GPU, else 64, as fast and smaller.

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
    batch_size = batch_size or _batch_size(device)
    # Whole batches go to one process, so that each is what it is in a process alone.
    mine = group.share(len(store), batch_size)
    positions = torch.arange(mine.start, mine.stop)
    batches = positions.split(batch_size) if len(positions) else ()
    features = np.empty((len(positions), network.dim), np.float32)
    for number, batch in enumerate(progress(batches, desc="features", unit="batch")):
        with torch.inference_mode():
            images = normalize_pixels(store.batch(batch))
            if number + 1 < len(batches):
                store.ahead(batches[number + 1])
            embedded = network(images)
            if flip:
                embedded = F.normalize(embedded + network(images.flip(3)), dim=1)
        features[batch - mine.start] = embedded.float().cpu().numpy()
    features = group.gather(torch.from_numpy(features), len(store), batch_size).numpy()
    if not np.isfinite(features).all():
        raise UserError("The model returns NaN embeddings: its training has diverged.")
    return features


def embed_pixels(network: ReidNetwork, pixels: torch.Tensor, device: torch.device) -> np.ndarray:
    """Return the embeddings of a few images, in eval mode.

    Args:
        network: on `device`.
        pixels: uint8 (n, H, W, 3), of the size the network was made for.
        device: where to compute.

    Returns:
        float32 (n, D), rows of unit length.
    """
    network.eval()
    size = _batch_size(device)
    with torch.inference_mode():
        blocks = [network(normalize_pixels(part.to(device))) for part in pixels.split(size)]
    return torch.cat(blocks).float().cpu().numpy()


def largest_map(network: ReidNetwork, device: torch.device) -> int:
    """Return the bytes of main memory that the largest feature map of a batch takes.

    Args:
        network: on the CPU; it is set to eval mode.
        device: where it will compute; 0 bytes on a GPU, whose maps are on the card.
    """
    return CPU_BATCH * footprint(network.eval()).largest if device.type == "cpu" else 0


def _batch_size(device: torch.device) -> int:
    return CPU_BATCH if device.type == "cpu" else 4 * CPU_BATCH
