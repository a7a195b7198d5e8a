"""Positive Pair Alignment: two images of a cluster should see the clusters alike (MPRD)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.registry import LossInputs
from mprd.pairs.pair_list import masked_argmin


def ppa_term(batch: LossInputs, settings: TrainConfig) -> Tensor:
    """Return the PPA loss of a batch and its partners.

    Raises:
        ValueError: the step embedded no partners.
    """
    if batch.x_partner is None:
        raise ValueError("PPA needs the embeddings of partners.")
    return ppa_loss(
        batch.x,
        batch.x_partner,
        batch.labels,
        batch.memory.prototypes,
        batch.memory.instances,
        batch.memory.labels,
        batch.members,
        batch.positive,
        batch.negative,
        temperature=settings.temperature,
        mix=settings.ppa_mix,
    )


def ppa_loss(
    x: Tensor,
    x_positive: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    instances: Tensor,
    instance_labels: Tensor,
    members: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    temperature: float,
    mix: float,
) -> Tensor:
    """Return KL( softmax(x Cq'/T) || softmax(x' Cp'/T) ), averaged over the batch.

    Cq' is C with the own row mixed with the least similar hard positive, and the row of each
    other cluster that holds a hard negative mixed with it (the most similar one, where a
    cluster holds several). Cp' is made in the same way for x'. Only these few columns of the
    logits differ from x C'/T, so no copy of C is made.

    Args:
        x: (B, D), unit rows.
        x_positive: (B, D), x', another image of the same cluster.
        labels: int64 (B,), cluster of both.
        prototypes: (K, D), C.
        instances: (N, D), M.
        instance_labels: int64 (N,), cluster of each training image, -1 outlier.
        members: int64 (U,), rows among which the hard pairs are; -1: none.
        positive: bool (B, U), hard positives P, at least one per image.
        negative: bool (B, U), hard negatives N.
        temperature: T.
        mix: b, share of the instance in a mixed prototype.

    Returns:
        Scalar, differentiable in `x` and `x_positive`.
    """
    clusters = instance_labels[members]
    negative = negative & (clusters >= 0) & (clusters != labels[:, None])
    clusters = clusters.clamp_min(0)
    held, own = instances[members], prototypes[labels]
    mixed = F.normalize((1 - mix) * prototypes[clusters] + mix * held, dim=1)

    def similarities(view: Tensor) -> Tensor:
        """Return x C', (B, K), with C' mixed for a view."""
        alike = (view @ held.T).detach()
        furthest = held[masked_argmin(alike, positive)]
        value = (view * F.normalize((1 - mix) * own + mix * furthest, dim=1)).sum(dim=1)
        column, found = _hardest(alike, negative, clusters, len(prototypes))
        all_of_c = torch.where(found, (view @ mixed.T).gather(1, column), view @ prototypes.T)
        return all_of_c.scatter(1, labels[:, None], value[:, None])

    log_p, log_q = (F.log_softmax(similarities(v) / temperature, dim=1) for v in (x, x_positive))
    return (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()


def _hardest(
    alike: Tensor, negative: Tensor, clusters: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Find the most similar hard negative of each image in each cluster (the first of equals).

    Args:
        alike: (B, U), similarities.
        negative: bool (B, U).
        clusters: int64 (U,), cluster of each column.
        count: number of clusters, K.

    Returns:
        int64 (B, K), its column, 0 where there is none; and bool (B, K), whether there is one.
    """
    batch, width = alike.shape
    where = clusters.expand(batch, -1)
    alike = alike.masked_fill(~negative, float("-inf"))
    best = alike.new_full((batch, count), float("-inf")).scatter_reduce_(1, where, alike, "amax")
    column = torch.arange(width, device=alike.device).expand_as(alike)
    column = column.masked_fill(~negative | (alike != best.gather(1, where)), width)
    first = column.new_full((batch, count), width).scatter_reduce_(1, where, column, "amin")
    found = first < width
    return first.masked_fill(~found, 0), found
