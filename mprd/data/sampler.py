"""Batches of P clusters x S instances, planned for a whole epoch."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np

SamplerName = Literal["anchor", "cameras", "random"]
Draw = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def plan_batches(
    labels: np.ndarray,
    cameras: np.ndarray,
    *,
    iters: int,
    identities: int,
    instances: int,
    sampler: SamplerName,
    rng: np.random.Generator,
    lone_once: bool = False,
) -> np.ndarray:
    """Draw all batches of an epoch, pseudo-identity balanced.

    Clusters come in random order, each once before any comes again. The images of a batch are
    dealt: first one of each cluster, then the next of each. So any run of consecutive images,
    such as a batch-norm group, holds as many clusters as it can.

    With `lone_once` an image that is alone in its cluster comes once where other clusters come S
    times, as in SpCL: batches hold more than P clusters then, and their borders may cut one.

    Args:
        labels: int (N,), pseudo-labels, -1 outlier (never drawn).
        cameras: int (N,), -1 unknown.
        iters: number of batches.
        identities: clusters per batch, P.
        instances: images per cluster, S.
        sampler: how the images of a cluster are drawn: `anchor`, `cameras` or `random`.
        rng: source of randomness.
        lone_once: draw an image that is alone in its cluster once, not S times.

    Returns:
        int64 (iters, S * P), rows.

    Raises:
        ValueError: no image has a label.
    """
    members = cluster_members(labels)
    if not members:
        raise ValueError("no image has a pseudo-label")
    draw = SAMPLERS[sampler]
    if lone_once:
        return _stream(members, cameras, (iters, identities * instances), instances, draw, rng)
    clusters = _cluster_order(len(members), iters, identities, rng)
    plan = np.empty((len(clusters), instances), np.int64)
    for position, cluster in enumerate(clusters):
        rows = members[cluster]
        plan[position] = rows[draw(cameras[rows], instances, rng)]
    dealt = plan.reshape(iters, identities, instances).transpose(0, 2, 1)
    return dealt.reshape(iters, identities * instances)


def _stream(
    members: list[np.ndarray],
    cameras: np.ndarray,
    shape: tuple[int, int],
    instances: int,
    draw: Draw,
    rng: np.random.Generator,
) -> np.ndarray:
    """Cut one row of shuffled clusters, of S images or one, into batches; each is dealt."""
    wanted, blocks, clusters = shape[0] * shape[1], [], []
    while wanted > 0:
        for cluster in rng.permutation(len(members)):
            rows = members[cluster]
            blocks.append(rows[draw(cameras[rows], instances, rng)] if len(rows) > 1 else rows)
            clusters.append(np.full(len(blocks[-1]), cluster))
            wanted -= len(blocks[-1])
    plan, owner = (np.concatenate(x)[: shape[0] * shape[1]] for x in (blocks, clusters))
    plan, owner = plan.reshape(shape), owner.reshape(shape)
    for rows, batch in zip(plan, owner, strict=True):
        rows[:] = rows[np.argsort(_rank_in_group(batch), kind="stable")]
    return plan


def draw_random(cameras: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw distinct images, or all of them and repeats where a cluster is small.

    Args:
        cameras: int (n,), of the cluster's images.
        count: images to draw.
        rng: source of randomness.

    Returns:
        int64 (count,), positions in the cluster.
    """
    return _filled(rng.permutation(len(cameras)), count, rng)


def draw_cameras(cameras: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw as `draw_random`, but one image of each camera before a second of any."""
    order = rng.permutation(len(cameras))
    apart = np.where(cameras < 0, -1 - np.arange(len(cameras)), cameras)  # unknown: of its own
    order = order[np.argsort(_rank_in_group(apart[order]), kind="stable")]
    return _filled(order, count, rng)


def draw_anchor(cameras: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw an anchor and then images of other cameras than its own, repeats of them if few.

    The sampler of SpCL, Cluster Contrast and MPRD. Where all images are of the anchor's camera, the
    others are drawn alike; an image of an unknown camera shares it with none.
    """
    anchor = int(rng.integers(len(cameras)))
    others = np.flatnonzero(np.arange(len(cameras)) != anchor)
    apart = others[(cameras[others] != cameras[anchor]) | (cameras[anchor] < 0)]
    pool = apart if len(apart) else others if len(others) else np.array([anchor])
    drawn = rng.choice(pool, count - 1, replace=len(pool) < count - 1)
    return np.concatenate([[anchor], drawn])


SAMPLERS: dict[SamplerName, Draw] = {
    "anchor": draw_anchor,
    "cameras": draw_cameras,
    "random": draw_random,
}


def cluster_members(labels: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each cluster 0..K-1, ascending."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(labels.max(initial=-1) + 2))
    return [order[a:b] for a, b in pairwise(bounds)]


def _cluster_order(count: int, iters: int, identities: int, rng: np.random.Generator) -> np.ndarray:
    """Concatenate shuffles of all clusters, each cut to whole batches so that none repeats in one.

    With fewer clusters than a batch holds, a batch has to repeat some.
    """
    needed = iters * identities
    cut = count - count % identities if count >= identities else count
    shuffles = [rng.permutation(count)[:cut] for _ in range(-(-needed // cut))]
    return np.concatenate(shuffles)[:needed]


def _filled(order: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the first `count` of an order, with random repeats where it is shorter."""
    missing = count - len(order)
    return np.concatenate([order, rng.choice(order, missing)]) if missing > 0 else order[:count]


def _rank_in_group(groups: np.ndarray) -> np.ndarray:
    """Return for each image how many of the same camera, or cluster, stand before it."""
    order = np.argsort(groups, kind="stable")
    _, start, counts = np.unique(groups[order], return_index=True, return_counts=True)
    rank = np.empty(len(groups), np.int64)
    rank[order] = np.arange(len(groups)) - np.repeat(start, counts)
    return rank
