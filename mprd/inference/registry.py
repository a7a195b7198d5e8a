"""What a descriptor is: images to embeddings, by a network or without one.

Descriptors that `evaluate.baselines` names are evaluated beside the models of a run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.pipeline.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Descriptor:
    """Embeds the images of a store.

    Attributes:
        dim: embedding size D.
        embed: store -> float32 (N, D), rows of unit length.
        largest_map: bytes that the largest intermediate of a batch takes in main memory.
    """

    dim: int
    embed: Callable[[PixelStore], np.ndarray]
    largest_map: int = 0


# (config of the run, store of images of the size to embed) -> the descriptor.
DESCRIPTORS: Registry[Callable[[Config, PixelStore], Descriptor]] = Registry("evaluate.baselines")
