"""Pairs to train the relation GCN on, found without labels, and how tasks draw from them.

A GCN helps only if its training pairs look like the pairs it will judge: doubtful pairs inside a
cluster. The camera must not tell their answer.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mprd.clustering.tracks import TrackGroups
from mprd.gcn.camera_ranks import level_of
from mprd.gcn.context import RelationContext
from mprd.pairs.pair_list import canonical

_MATES = 32  # mates drawn per image: enough pairs, however large a cluster is
_BLOCK_IMAGES = 2**14  # whose mates are drawn at once


@dataclass(frozen=True)
class PairSet:
    """Pairs with an answer.

    Attributes:
        pairs: int64 (n, 2), rows.
        same: bool (n,), True: one identity.
        same_camera: bool (n,), both ends are of one known camera.
    """

    pairs: Tensor
    same: Tensor
    same_camera: Tensor

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    def part(self, chosen: Tensor) -> "PairSet":
        """Return the pairs that a bool (n,) mask or int64 places (m,) choose."""
        return PairSet(self.pairs[chosen], self.same[chosen], self.same_camera[chosen])

    def usable(self) -> bool:
        """Tell whether there are pairs of both answers."""
        return bool(self.same.any()) and not bool(self.same.all())

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw places of pairs: half of them positive, and so in either camera relation.

        A camera relation without both answers is left out (unless there is no other): it would
        teach to answer by the camera.

        Args:
            count: pairs to draw.
            generator: on the CPU.

        Returns:
            Int64 (count',) on the CPU; count' is count rounded up to an equal number from each
            group.
        """
        groups = self._groups
        size = -(-count // len(groups))
        chosen = [g[torch.randint(len(g), (size,), generator=generator)] for g in groups]
        return torch.cat(chosen)

    def rarest(self) -> tuple[int, float]:
        """Return the size of the smallest group that tasks draw from, and its share of a task."""
        groups = self._groups
        return min(len(group) for group in groups), 1 / len(groups)

    @cached_property
    def _groups(self) -> list[Tensor]:
        same, camera = self.same.cpu(), self.same_camera.cpu()
        split = [
            [(same == answer) & (camera == c) for answer in (True, False)] for c in (True, False)
        ]
        whole = [group for group in split if all(bool(part.any()) for part in group)]
        masks = whole or [[same, ~same]]
        return [mask.nonzero()[:, 0] for group in masks for mask in group]


def doubtful_pairs(
    labels: Tensor, generator: torch.Generator, tracks: TrackGroups | None = None
) -> Tensor:
    """Return pairs inside one cluster: all of them, or up to 32 mates of each image.

    Args:
        labels: int64 (N,), pseudo-labels, -1 outlier.
        generator: on the CPU.
        tracks: of the images; the first of each track stands for it. None: there are none.

    Returns:
        int64 (P, 2), i < j, distinct, on the device of `labels`.
    """
    if tracks is not None:
        first = torch.from_numpy(tracks.first).to(labels.device)
        labels = torch.full_like(labels, -1).index_copy(0, first, labels[first])
    order = torch.argsort(labels, stable=True)
    order = order[labels[order] >= 0]
    sizes = torch.bincount(labels[order])
    start = (sizes.cumsum(0) - sizes)[labels[order]]
    size = sizes[labels[order]]
    # The m-th mate of an image stands m places behind it, round its cluster. In a small cluster
    # every step is taken, in a large one 32 random ones.
    count = max(len(labels), 1)
    every = 1 + torch.arange(_MATES, device=labels.device)
    found = []
    for rows in torch.arange(len(order), device=labels.device).split(_BLOCK_IMAGES):
        among, first = size[rows, None], start[rows, None]
        drawn = torch.rand((len(rows), _MATES), generator=generator).to(labels.device)
        drawn = 1 + (drawn * (among - 1)).long()
        steps = torch.where(among > _MATES + 1, drawn, every)
        mate = order[first + (rows[:, None] - first + steps) % among]
        wanted = steps < among
        pairs = torch.stack([order[rows, None].expand_as(mate)[wanted], mate[wanted]], dim=1)
        lower, higher = canonical(pairs).T
        found.append(lower * count + higher)
    # One number a pair: of rows, torch would make a tensor each.
    keys = torch.unique(torch.cat([order.new_empty(0), *found]))
    return torch.stack([keys // count, keys % count], dim=1)


def camera_pairs(
    context: RelationContext, doubtful: Tensor, *, positive_rank: int, negative_rank: int
) -> PairSet:
    """Sort out doubtful pairs on which ranks within cameras and Jaccard distances agree.

    Positive: each end is among the `positive_rank` nearest images of its camera, seen from the
    other, by the cosine around the camera means, and their Jaccard similarity is at least the
    median of such pairs (of one camera, or of two). Negative: one is at `negative_rank` or behind,
    and their Jaccard similarity is at most this median. All else is left out.

    Args:
        context: of the epoch.
        doubtful: int64 (P, 2).
        positive_rank: 1-based.
        negative_rank: 1-based, above `positive_rank`; ranks are rounded to the context's levels.
    """
    i, j = doubtful.T
    level = torch.maximum(context.camera_level(i, j), context.camera_level(j, i))
    strong, weak = _around_median(context.jaccard(i, j), context.same_camera(i, j))
    same = (level <= level_of(positive_rank)) & strong
    return _select(context, doubtful, same, same | ((level >= level_of(negative_rank)) & weak))


def _around_median(values: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Tell which values are at least, and at most, the median of their group (True or False)."""
    median = torch.zeros_like(values)
    for mask in (group, ~group):
        if bool(mask.any()):
            median[mask] = values[mask].median()
    return values >= median, values <= median


def strict_pairs(context: RelationContext, doubtful: Tensor, strict: Tensor) -> PairSet:
    """Sort out doubtful pairs by a stricter clustering.

    Positive: in one cluster at the strict eps. Negative: not, with a Jaccard similarity at most
    the median, and not in each other's neighbour lists.

    Args:
        context: of the epoch.
        doubtful: int64 (P, 2).
        strict: int64 (N,), labels at the strict eps, -1 outlier.
    """
    i, j = doubtful.T
    same = (strict[i] == strict[j]) & (strict[i] >= 0)
    jaccard = context.jaccard(i, j)
    weak = jaccard <= jaccard.median() if len(jaccard) else jaccard < 0
    return _select(context, doubtful, same, same | (weak & ~context.mutual(i, j)))


def view_pairs(context: RelationContext, origin: Tensor) -> PairSet:
    """Pair each view with its image, and with the nearest stranger of its image.

    The stranger is the most similar neighbour that is neither in the image's k-reciprocal set nor
    in that of an image there (as in MPRD's pre-training pairs). Both kinds of pairs have one view,
    so that views do not tell the answer.

    Args:
        context: extended by one view per row of `origin`, in this order.
        origin: int64 (m,), images, distinct.
    """
    views = torch.arange(len(context) - len(origin), len(context), device=origin.device)
    near = context.neighbors[origin]
    mutual = context.mutual(origin[:, None].expand_as(near), near)
    # (m, K, K): is the second neighbour in the reciprocal set of the first?
    linked = context.mutual(near[:, :, None].expand(-1, -1, near.shape[1]), near[:, None, :])
    stranger = ~mutual & ~(mutual[:, :, None] & linked).any(dim=1)
    found = stranger.any(dim=1)
    first = stranger.float().argmax(dim=1)
    negative = torch.stack([near.gather(1, first[:, None])[:, 0], views], dim=1)[found]
    pairs = torch.cat([torch.stack([origin, views], dim=1), negative])
    same = torch.arange(len(pairs), device=origin.device) < len(origin)
    return PairSet(pairs, same, context.same_camera(*pairs.T))


def _select(context: RelationContext, pairs: Tensor, same: Tensor, keep: Tensor) -> PairSet:
    return PairSet(pairs, same, context.same_camera(*pairs.T)).part(keep)
