"""Finer and coarser cuts of a merge tree, as far away as a person would notice."""

from enum import StrEnum

import numpy as np
from numba import njit

from mprd.clustering.linkage import LinkageTree

_MORE, _FEWER = 13, 10  # clusters of the finer of two cuts, to those of the coarser


class Direction(StrEnum):
    """Which way to move a cut."""

    FINER = "finer"
    COARSER = "coarser"


def neighboring_cut(
    tree: LinkageTree, threshold: float, min_size: int, direction: Direction
) -> float | None:
    """Return the threshold of the nearest cut that is clearly finer or coarser.

    A merge shows if it makes a cluster of min_size rows or more; any other changes no label. Among
    the cuts on the wanted side with at least one merge that shows in between, this is the nearest
    with 1.3 times as many clusters (coarser: at most 1 / 1.3 as many). Often no cut has: finer
    clusters fall below min_size, or what is left has distance 1. Then it is the nearest cut with as
    many merges in between as such a change of K clusters takes at least, 0.3 K or K - K / 1.3, or
    the last one on this side.

    Args:
        tree: all merges.
        threshold: of the present cut.
        min_size: rows of a smaller cluster are outliers.
        direction: finer or coarser.

    Returns:
        The shortest decimal number that cuts there; None: all cuts on this side have these labels.
    """
    heights, count = tree.heights, len(tree.heights)
    clusters, shown = _figures(tree.merges, np.bincount(tree.group, minlength=1), min_size)
    now = int(np.searchsorted(heights, threshold, side="right"))
    finer = direction is Direction.FINER
    # A cut cannot part merges of one height, nor undo those at height 0.
    starts = np.concatenate([[0.0], heights, [1.0]])
    steps = np.flatnonzero((starts[:-1] < starts[1:]) | (np.arange(count + 1) == count))
    steps = steps[steps < now][::-1] if finer else steps[steps > now]
    between = np.abs(shown[steps] - shown[now])
    steps, between = steps[between > 0], between[between > 0]
    if not len(steps):
        return None
    have, found = clusters[now], clusters[steps]
    enough = _FEWER * found >= _MORE * have if finer else _MORE * found <= _FEWER * have
    if not enough.any():
        enough = between * (_FEWER if finer else _MORE) >= (_MORE - _FEWER) * have
    step = int(steps[np.argmax(enough)] if enough.any() else steps[-1])
    return _short(float(starts[step]), float(starts[step + 1]))


@njit(cache=True)
def _figures(
    merges: np.ndarray, group_sizes: np.ndarray, min_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the clusters after 0, 1, ... steps, and the merges up to there that show.

    Args:
        merges: int32 (M, 2).
        group_sizes: int64 (G,).
        min_size: rows of a cluster.

    Returns:
        int64 (M + 1,), int64 (M + 1,).
    """
    groups, count = len(group_sizes), len(merges)
    sizes = np.zeros(groups + count, np.int64)
    sizes[:groups] = group_sizes
    clusters, shown = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    clusters[0] = (group_sizes >= min_size).sum()
    for step in range(count):
        one, other = sizes[merges[step, 0]], sizes[merges[step, 1]]
        large = one + other >= min_size
        sizes[groups + step] = one + other
        clusters[step + 1] = clusters[step] + large - (one >= min_size) - (other >= min_size)
        shown[step + 1] = shown[step] + large
    return clusters, shown


def _short(low: float, high: float) -> float:
    """Return the shortest decimal number from `low` to below `high`, about in the middle."""
    for digits in range(2, 17):
        value = round((low + high) / 2, digits)
        if low <= value < high:
            return value
    return low
