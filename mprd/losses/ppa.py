"""Positive Pair Alignment: two images of a cluster should see the clusters alike (MPRD)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.registry import LossInputs
from mprd.pairs.pair_list import PairList, pair_similarities, segment_argmin


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
        batch.positives,
        batch.negatives,
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
    positives: PairList,
    negatives: PairList,
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
        positives: hard positives P, at least one per image.
        negatives: hard negatives N.
        temperature: T.
        mix: b, share of the instance in a mixed prototype.

    Returns:
        Scalar, differentiable in `x` and `x_positive`.
    """
    cluster = instance_labels[negatives.member]
    usable = (cluster >= 0) & (cluster != labels[negatives.owner])
    negatives = PairList(negatives.owner[usable], negatives.member[usable])
    log_p, log_q = (
        F.log_softmax(
            _mixed_similarities(
                view, labels, prototypes, instances, instance_labels, positives, negatives, mix
            )
            / temperature,
            dim=1,
        )
        for view in (x, x_positive)
    )
    return (log_p.exp() * (log_p - log_q)).sum(dim=1).mean()


def _mixed_similarities(
    x: Tensor,
    labels: Tensor,
    prototypes: Tensor,
    instances: Tensor,
    instance_labels: Tensor,
    positives: PairList,
    negatives: PairList,
    mix: float,
) -> Tensor:
    """Return x C', (B, K), with C' mixed for this view."""
    batch, clusters = len(x), len(prototypes)
    hardest = segment_argmin(pair_similarities(x, instances, positives), positives.owner, batch)
    rows = [torch.arange(batch, device=x.device)]
    columns = [labels]
    members = [positives.member[hardest]]
    if len(negatives.owner):
        key = negatives.owner * clusters + instance_labels[negatives.member]
        groups, group = torch.unique(key, return_inverse=True)
        similarity = pair_similarities(x, instances, negatives)
        chosen = segment_argmin(-similarity, group, len(groups))
        rows.append(groups // clusters)
        columns.append(groups % clusters)
        members.append(negatives.member[chosen])
    row, column, member = torch.cat(rows), torch.cat(columns), torch.cat(members)
    mixed = F.normalize((1 - mix) * prototypes[column] + mix * instances[member], dim=1)
    # `x[row]` would sum its gradient in an order that changes from run to run.
    values = (x.index_select(0, row) * mixed).sum(dim=1)
    return (x @ prototypes.T).index_put((row, column), values)
