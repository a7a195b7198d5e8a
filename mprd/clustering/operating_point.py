"""Where to set gamma without labels: by the recall of confident pairs of two cameras.

Purity teaches little and pairs that never share a cluster teach nothing, but what is best changes
as embeddings get better: at first hardly any pair is stored, later clusters would run together.
Pairs that are each other's nearest in their cameras are mostly right (0.73 to 0.87 of them on the
demo), so their share within clusters tells when a stricter gamma begins to cost recall.
"""

from collections.abc import Callable

import numpy as np

# Candidates for gamma, generous to strict.
GAMMAS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_GIVEN_UP = 0.01  # share of the confident pairs that purity may cost


def confident_pairs(neighbors: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Return pairs of two cameras, each end the other's nearest image of its camera.

    Only neighbours in the lists count: a nearest image beyond them is not a confident one. Without
    known cameras these are the mutual nearest neighbours.

    Args:
        neighbors: int (N, k), nearest rows, the row itself first.
        cameras: int (N,), -1 unknown: such images are in no pair while any camera is known.

    Returns:
        int64 (P, 2), i < j, sorted.
    """
    count, k = neighbors.shape
    known = cameras >= 0
    if not known.any():  # each image as a camera of its own would pair all neighbours
        group, known = np.zeros(count, np.int64), np.ones(count, bool)
        allowed = neighbors != np.arange(count)[:, None]
    else:
        group = cameras.astype(np.int64)
        allowed = known[:, None] & known[neighbors] & (group[neighbors] != group[:, None])
    place = np.flatnonzero(allowed)  # row by row, the nearest first
    row, seen = place // k, neighbors.ravel()[place].astype(np.int64)
    span = int(group.max(initial=0)) + 1
    _, first = np.unique(row * span + group[seen], return_index=True)
    forth = row[first] * count + seen[first]
    back = seen[first] * count + row[first]
    mutual = forth[np.isin(forth, back, assume_unique=True)]
    i, j = np.divmod(np.sort(mutual), count)
    return np.stack([i, j], axis=1)[i < j]


def share_together(labels: np.ndarray, pairs: np.ndarray) -> float:
    """Return the share of pairs (P, 2) that are in one cluster; NaN without pairs."""
    i, j = labels[pairs[:, 0]], labels[pairs[:, 1]]
    return float(((i == j) & (i >= 0)).mean()) if len(pairs) else float("nan")


def choose_gamma(cluster: Callable[[float], np.ndarray], pairs: np.ndarray) -> float:
    """Return the strictest gamma that keeps nearly as many confident pairs as the best one.

    Args:
        cluster: gamma -> labels int (N,), -1 outlier.
        pairs: int (P, 2), confident pairs; without any the middle of the candidates is taken.
    """
    if not len(pairs):
        return GAMMAS[len(GAMMAS) // 2]
    shares = [share_together(cluster(gamma), pairs) for gamma in GAMMAS]
    return max(
        gamma
        for gamma, share in zip(GAMMAS, shares, strict=True)
        if share >= max(shares) - _GIVEN_UP
    )
