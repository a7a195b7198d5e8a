"""Hard Sample Deduction: Cluster Contrast, sharpened by hard pairs (MPRD, ICCV 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.cluster_contrast import prototype_logits
from mprd.losses.registry import LossInputs


def hsd_term(batch: LossInputs, settings: TrainConfig) -> Tensor:
    """Return the HSD loss of a batch."""
    return hsd_loss(
        batch.x,
        batch.labels,
        batch.memory.prototypes,
        batch.memory.instances,
        batch.hard_positive,
        batch.members,
        batch.negative,
        temperature=settings.temperature,
        mix=settings.hsd_mix,
        margin=settings.hsd_margin,
    )


def hsd_loss(
    x: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    instances: Tensor,
    positive: Tensor,
    members: Tensor,
    negative: Tensor,
    *,
    temperature: float,
    mix: float,
    margin: float,
) -> Tensor:
    """Return the mean HSD loss of a batch.

    L = -log( e^{x.c+/T} / ( e^{x.c+/T} + sum_{k != c} e^{x.C_k/T} + w sum_{j in N} e^{x.M_j/T} ) )
    with c+ = norm((1 - a) C_c + a M_j), a fresh mix per sample, and w = e^{-margin/T}: hard
    negatives have a handicap in cosine that does not depend on T. With a = 0 and no negatives this
    is the loss of Cluster Contrast.

    Args:
        x: (B, D), unit rows.
        labels: int64 (B,), cluster c of each image.
        prototypes: (K, D), cluster memory C.
        instances: (N, D), instance memory M.
        positive: int64 (B,), row j of the hard positive.
        members: int64 (U,), rows among which the hard negatives are.
        negative: bool (B, U), hard negatives N.
        temperature: T.
        mix: a.
        margin: handicap of the hard negatives; lambda of the paper is e^{-margin/T}.

    Returns:
        Scalar, differentiable in `x`.
    """
    mixed = prototypes[labels]
    if mix:
        mixed = F.normalize((1 - mix) * mixed + mix * instances[positive], dim=1)
    logits, target = prototype_logits(x, labels, prototypes, mixed, temperature)
    hard = (x @ instances[members].T - margin) / temperature
    hard = hard.masked_fill(~negative, float("-inf"))
    top = torch.cat([logits, hard], dim=1).detach().amax(dim=1)
    all_of_c, all_of_n = (torch.exp(part - top[:, None]).sum(dim=1) for part in (logits, hard))
    total = all_of_c + all_of_n
    return (top + total.log() - target).mean()
