"""Cluster Contrast, the default loss: a softmax over cluster prototypes (Dai et al., ACCV 2022)."""

import torch
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.registry import LossInputs


def cluster_contrast_term(batch: LossInputs, settings: TrainConfig) -> Tensor:
    """Return the Cluster Contrast loss of a batch."""
    return cluster_contrast_loss(
        batch.x, batch.labels, batch.memory.prototypes, temperature=settings.temperature
    )


def cluster_contrast_loss(
    x: Tensor, labels: Tensor, prototypes: Tensor, *, temperature: float
) -> Tensor:
    """Return the mean of -log softmax(x C'/T) at the cluster of each image.

    Args:
        x: (B, D), unit rows.
        labels: int64 (B,), cluster of each image.
        prototypes: (K, D), cluster memory C.
        temperature: T.

    Returns:
        Scalar, differentiable in `x`.
    """
    logits, target = prototype_logits(x, labels, prototypes, prototypes[labels], temperature)
    top = logits.detach().amax(dim=1)
    total = torch.exp(logits - top[:, None]).sum(dim=1)
    return (top + total.log() - target).mean()


def prototype_logits(
    x: Tensor, labels: Tensor, prototypes: Tensor, positive: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Return the logits of all clusters, and those of the positives, which stand among them.

    Args:
        x: (B, D), unit rows.
        labels: int64 (B,), cluster of each image.
        prototypes: (K, D), cluster memory C.
        positive: (B, D), what stands for the own prototype of each image.
        temperature: T.

    Returns:
        (B, K), and (B,).
    """
    target = (x * positive).sum(dim=1) / temperature
    logits = (x @ prototypes.T / temperature).scatter(1, labels[:, None], target[:, None])
    return logits, target
