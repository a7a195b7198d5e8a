"""The losses that training sums, by name: each is a function of a batch and the settings."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.memories.registry import Memory
from mprd.pairs.pair_list import PairList
from mprd.pipeline.registry import Registry


@dataclass(frozen=True, kw_only=True)
class LossInputs:
    """What a loss may use of a training step.

    Attributes:
        x: (B, D), unit rows: the embeddings of the batch, with gradients.
        x_partner: (B, D), those of another image of each cluster; None without PPA.
        labels: int64 (B,), cluster of each image.
        memory: instances, prototypes and labels of all training images.
        rows: int64 (B,), training row of each image.
        hard_positive: int64 (B,), training row of one hard positive of each image, drawn
            uniformly; the image itself where there is none.
        positives: hard positives, at least one for each image; none without HSD and PPA.
        negatives: hard negatives.
    """

    x: Tensor
    x_partner: Tensor | None
    labels: Tensor
    memory: Memory
    rows: Tensor
    hard_positive: Tensor
    positives: PairList
    negatives: PairList


# (batch, the `train` section) -> scalar.
Loss = Callable[[LossInputs, TrainConfig], Tensor]
LOSSES: Registry[Loss] = Registry("train.losses")
