"""The memories that `train.memory` names: what a batch is compared with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from torch import Tensor

from mprd.config import TrainConfig
from mprd.pipeline.registry import Registry


@dataclass(frozen=True, kw_only=True)
class MemoryInputs:
    """What a memory starts from.

    Attributes:
        features: float32 (N, D), unit rows, of the epoch's start.
        labels: int64 (N,), pseudo-labels, -1 outlier.
        cameras: int64 (N,), -1 unknown.
        weights: float32 (N,), how much an image counts in its cluster, around 1.
    """

    features: Tensor
    labels: Tensor
    cameras: Tensor
    weights: Tensor


class Memory(Protocol):
    """The embeddings that a batch is compared with; never part of the autograd graph.

    Attributes:
        instances: float32 (N, D), one unit row per training image.
        prototypes: float32 (K, D), one row per class.
        labels: int64 (N,), class of each image, -1: not trained on.
        lone_classes: images outside clusters are classes, too.
    """

    instances: Tensor
    prototypes: Tensor
    labels: Tensor
    lone_classes: ClassVar[bool]

    def update(self, rows: Tensor, features: Tensor) -> None:
        """Take over a batch after the optimiser step.

        Args:
            rows: int64 (B,), training rows, each with a class; of a repeated row the last counts.
            features: (B, D), unit rows.
        """


@runtime_checkable
class LooksAhead(Protocol):
    """A memory that wants to know the batches of an epoch, such as to know the size of its work.

    A step should ask nothing back from the device: no `unique`, `nonzero`, bool index or `item`.
    """

    def expect(self, batches: Tensor) -> None:
        """Take note of the batches before the first: int64 (S, B), training rows of each step."""


# (what it starts from, the `train` section) -> a memory.
MEMORIES: Registry[Callable[[MemoryInputs, TrainConfig], Memory]] = Registry("train.memory")
