"""Where to set gamma without labels: by the recall of confident pairs of two cameras.

Purity teaches little and pairs that never share a cluster teach nothing, but what is best changes
as embeddings get better: at first hardly any pair is stored, later clusters would run together.
Pairs that are each other's nearest in their cameras are mostly right (0.73 to 0.87 of them on the
demo), so their share within clusters tells when a stricter gamma begins to cost recall.
"""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.registry import CLUSTERINGS
from mprd.config import ClusterConfig

# Candidates for gamma, generous to strict.
GAMMAS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_BLOCK_ROWS = 2**15
_GIVEN_UP = 0.01  # share of the confident pairs that purity may cost


def confident_pairs(neighbors: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Return pairs of two cameras, each end the other's nearest image of its camera.

    Only neighbours in the lists count: a nearest image beyond them is not a confident one. Where
    fewer than two cameras are known these are the mutual nearest neighbours.

    Args:
        neighbors: int (N, k), nearest rows, the row itself first.
        cameras: int (N,), -1 unknown: such images are in no pair while two cameras are known.

    Returns:
        int64 (P, 2), i < j, sorted.
    """
    count = len(neighbors)
    group = cameras.astype(np.int64)
    apart = len(np.unique(group[group >= 0])) > 1
    if not apart:
        group = np.zeros(count, np.int64)
    blocks = range(0, count, _BLOCK_ROWS)
    rows, nearest = (
        np.concatenate(parts)
        for parts in zip(
            *(_nearest_by_group(neighbors, group, start, apart) for start in blocks), strict=True
        )
    )
    forth, back = rows * count + nearest, nearest * count + rows
    mutual = forth[np.isin(forth, back, assume_unique=True)]
    i, j = np.divmod(np.sort(mutual), count)
    return np.stack([i, j], axis=1)[i < j]


def _nearest_by_group(
    neighbors: np.ndarray, group: np.ndarray, start: int, apart: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return, of a block of rows, each row and its nearest image of every group in its list.

    Args:
        neighbors: int (N, k).
        group: int64 (N,), -1: in no pair.
        start: first row of the block.
        apart: only images of another group count; else any but the row itself.
    """
    block = neighbors[start : start + _BLOCK_ROWS].astype(np.int64)
    own = np.arange(start, start + len(block))[:, None]
    if apart:
        allowed = (group[own] >= 0) & (group[block] >= 0) & (group[block] != group[own])
    else:
        allowed = block != own
    row, column = np.nonzero(allowed)  # row by row, the nearest first
    seen = block[row, column]
    _, first = np.unique(row * (int(group.max()) + 1) + group[seen], return_index=True)
    return row[first] + start, seen[first]


def share_together(labels: np.ndarray, pairs: np.ndarray) -> float:
    """Return the share of pairs (P, 2) that are in one cluster; NaN without pairs."""
    i, j = labels[pairs[:, 0]], labels[pairs[:, 1]]
    return float(((i == j) & (i >= 0)).mean()) if len(pairs) else float("nan")


def choose_gamma(
    cluster: Callable[[float], np.ndarray], pairs: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the strictest gamma that keeps nearly as many confident pairs as the best, and labels.

    Args:
        cluster: gamma -> labels int (N,), -1 outlier.
        pairs: int (P, 2), confident pairs; without any the middle of the candidates is taken.
    """
    if not len(pairs):
        gamma = GAMMAS[len(GAMMAS) // 2]
        return gamma, cluster(gamma)
    found = {gamma: cluster(gamma) for gamma in GAMMAS}
    # One cluster of all holds every pair together, and teaches nothing.
    usable = [gamma for gamma, labels in found.items() if labels.max() >= 1] or list(GAMMAS)
    share = {gamma: share_together(found[gamma], pairs) for gamma in usable}
    most = max(share.values())
    gamma = max(gamma for gamma in usable if share[gamma] >= most - _GIVEN_UP)
    return gamma, found[gamma]


def cluster_pairs(
    near: csr_array, confident: np.ndarray, settings: ClusterConfig
) -> tuple[np.ndarray, ClusterConfig]:
    """Cluster by the method of the settings; `gamma: auto` is chosen by the confident pairs.

    Args:
        near: (N, N), distances of the pairs within eps.
        confident: int64 (P, 2), pairs of two cameras that are mutually nearest.
        settings: the `cluster` section.

    Returns:
        Labels int32 (N,), -1 outlier, and the settings with the gamma used.
    """
    cluster = CLUSTERINGS[settings.method]
    if settings.method == "dbscan" or settings.gamma != "auto":  # dbscan has no gamma
        return cluster(near, settings), settings

    def at(gamma: float) -> np.ndarray:
        return cluster(near, settings.model_copy(update={"gamma": gamma}))

    gamma, labels = choose_gamma(at, confident)
    return labels, settings.model_copy(update={"gamma": gamma})
