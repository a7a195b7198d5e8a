"""The losses that training sums, by name: each is a function of a batch and the settings."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.memories.registry import Memory
from mprd.pipeline.registry import Registry


@dataclass(frozen=True, kw_only=True)
class LossInputs:
    """What a loss may use of a training step.

    A loss should ask nothing back from the device (no `unique`, `nonzero`, bool index or `item`):
    on a GPU the steps are captured as a graph, which cannot hold that.

    Attributes:
        x: (B, D), unit rows: the embeddings of the batch, with gradients.
        x_partner: (B, D), those of another image of each cluster; None without PPA.
        labels: int64 (B,), cluster of each image.
        memory: instances, prototypes and labels of all training images.
        rows: int64 (B,), training row of each image.
        hard_positive: int64 (B,), training row of one hard positive of each image, drawn
            uniformly; the image itself where there is none.
        members: int64 (U,), training rows among which the hard pairs are, -1: none; no row without
            HSD and PPA.
        positive: bool (B, U), hard positives, at least one for each image.
        negative: bool (B, U), hard negatives.
    """

    x: Tensor
    x_partner: Tensor | None
    labels: Tensor
    memory: Memory
    rows: Tensor
    hard_positive: Tensor
    members: Tensor
    positive: Tensor
    negative: Tensor


# (batch, the `train` section) -> scalar.
Loss = Callable[[LossInputs, TrainConfig], Tensor]
LOSSES: Registry[Loss] = Registry("train.losses")
