"""A plain colour descriptor, a baseline to stand beside a network."""

import numpy as np
import torch

from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.inference.registry import Descriptor

_BINS = 8
_STRIPES = 6
HISTOGRAM_DIM = _STRIPES * _BINS**3


def histogram(config: Config, store: PixelStore) -> Descriptor:
    """Return the plain colour descriptor."""
    return Descriptor(dim=HISTOGRAM_DIM, embed=histogram_store)


def histogram_store(store: PixelStore, batch_size: int = 256) -> np.ndarray:
    """Return a plain colour descriptor: RGB histograms of horizontal stripes, L2-normalised.

    A baseline to stand beside a network: 8 bins per channel, joint over the three channels, in
    each of 6 stripes, square root of the counts (Hellinger).

    Returns:
        float32 (N, 3072), rows of unit length.
    """
    blocks = []
    for start in range(0, len(store), batch_size):
        positions = torch.arange(start, min(start + batch_size, len(store)))
        blocks.append(_histograms(store.batch(positions).cpu().numpy()))
    if not blocks:
        return np.empty((0, HISTOGRAM_DIM), np.float32)
    return np.concatenate(blocks)


def _histograms(images: np.ndarray) -> np.ndarray:
    """Return (B, stripes * bins^3) for uint8 (B, H, W, 3)."""
    bins, stripes = _BINS, _STRIPES
    batch, height = images.shape[:2]
    level = images.astype(np.int64) * bins // 256
    color = (level[..., 0] * bins + level[..., 1]) * bins + level[..., 2]
    stripe = (np.arange(height) * stripes // height)[None, :, None]
    cell = (np.arange(batch)[:, None, None] * stripes + stripe) * bins**3 + color
    counts = np.bincount(cell.ravel(), minlength=batch * stripes * bins**3)
    descriptor = np.sqrt(counts.reshape(batch, -1).astype(np.float32))
    return descriptor / np.linalg.norm(descriptor, axis=1, keepdims=True)
