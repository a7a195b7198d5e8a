"""Sums over the images of a cluster, added in one order on each device."""

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.pairs.pair_list import first_of

_LEAST = 1e-6  # a weight of 0 alone in its cluster still has a direction


def cluster_means(features: Tensor, same: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of each image's cluster in a batch, (B, D), equal in a cluster.

    Args:
        features: (B, D).
        same: bool (B, B), images of one cluster.
        weights: (B,), at least 0.
    """
    share = same * weights.to(features.dtype).clamp_min(_LEAST)
    mean = share @ features / share.sum(dim=1, keepdim=True)
    # Rows of a product that should be equal can differ in the last bit.
    return mean[first_of(same)]


def centroids(features: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the normalised, weighted mean of each cluster.

    Args:
        features: (N, D).
        labels: int64 (N,), 0..K-1, -1 outlier.
        weights: (N,), at least 0; None: all count alike.

    Returns:
        (K, D), unit rows.
    """
    if weights is not None:
        features = features * weights.clamp_min(_LEAST)[:, None]
    order = torch.argsort(labels, stable=True)
    sums = sums_of_groups(features[order], labels[order], int(labels.max()) + 1)
    return F.normalize(sums, dim=1)


def sums_of_groups(values: Tensor, group: Tensor, count: int) -> Tensor:
    """Return the sum of the values of each group, (count, D), the same to the bit on each device.

    Args:
        values: (n, D).
        group: int64 (n,), ascending; values outside 0..count-1 are left out.
        count: number of groups.
    """
    # On a GPU `index_add_` adds in an order that changes from run to run; on a CPU it is faster.
    return (_by_segments if values.is_cuda else _by_rows)(values, group, count)


def _by_segments(values: Tensor, group: Tensor, count: int) -> Tensor:
    bounds = torch.searchsorted(group, torch.arange(count + 1, device=group.device))
    return torch.segment_reduce(values, "sum", offsets=bounds, axis=0, unsafe=True)


def _by_rows(values: Tensor, group: Tensor, count: int) -> Tensor:
    inside = group.masked_fill((group < 0) | (group >= count), count)
    return values.new_zeros(count + 1, values.shape[1]).index_add_(0, inside, values)[:count]
