"""Batches of P clusters x S instances, planned for a whole epoch."""

from itertools import pairwise

import numpy as np


def plan_batches(
    labels: np.ndarray,
    cameras: np.ndarray,
    *,
    iters: int,
    identities: int,
    instances: int,
    camera_aware: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw all batches of an epoch, pseudo-identity balanced.

    Clusters come in random order, each once before any comes again. A cluster gives S distinct
    images, or all of its images and repeats of them if it has fewer.

    Args:
        labels: int (N,), pseudo-labels, -1 outlier (never drawn).
        cameras: int (N,).
        iters: number of batches.
        identities: clusters per batch, P.
        instances: images per cluster, S.
        camera_aware: take the images of a cluster from different cameras first.
        rng: source of randomness.

    Returns:
        int64 (iters, P * S), rows; the images of a cluster stand together.

    Raises:
        ValueError: no image has a label.
    """
    members = cluster_members(labels)
    if not members:
        raise ValueError("no image has a pseudo-label")
    clusters = _cluster_order(len(members), iters, identities, rng)
    plan = np.empty((len(clusters), instances), np.int64)
    for position, cluster in enumerate(clusters):
        rows = rng.permutation(members[cluster])
        if camera_aware:
            rows = rows[np.argsort(_rank_in_camera(cameras[rows]), kind="stable")]
        missing = instances - len(rows)
        if missing > 0:
            rows = np.concatenate([rows, rng.choice(rows, missing)])
        plan[position] = rows[:instances]
    return plan.reshape(iters, identities * instances)


def draw_partners(labels: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw for each row another image of its cluster, uniformly; itself if it is alone.

    Args:
        labels: int (N,), pseudo-labels.
        rows: int64, any shape, rows with a label.
        rng: source of randomness.

    Returns:
        int64, the shape of `rows`.
    """
    order = np.argsort(labels, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(labels))
    first = np.searchsorted(labels[order], labels[rows], side="left")
    size = np.searchsorted(labels[order], labels[rows], side="right") - first
    step = 1 + np.floor(rng.random(rows.shape) * (size - 1)).astype(np.int64)
    return order[first + (rank[rows] - first + np.where(size > 1, step, 0)) % size]


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


def _rank_in_camera(cameras: np.ndarray) -> np.ndarray:
    """Return for each image how many of the same camera stand before it."""
    order = np.argsort(cameras, kind="stable")
    _, start, counts = np.unique(cameras[order], return_index=True, return_counts=True)
    rank = np.empty(len(cameras), np.int64)
    rank[order] = np.arange(len(cameras)) - np.repeat(start, counts)
    return rank
