"""Distances and similarities corrected by what else is known of a pair."""

import numpy as np
from scipy.sparse import csr_array

from mprd.config import TimeConfig
from mprd.system.csr import entry_rows


def corrected(distance: csr_array, evidence: np.ndarray, settings: TimeConfig) -> csr_array:
    """Return distances less what the times of a pair speak for.

    d' = min(1, max(0, d - weight x min(most, max(-most, evidence)))), and 0 on the diagonal. A
    pair that is not stored keeps distance 1.

    Args:
        distance: float32 (N, N), in [0, 1].
        evidence: float32 (nnz,), log ratio of each stored pair: above 0 for "the same".
        settings: weight and most.

    Returns:
        float32 (N, N), with the same stored pairs.
    """
    data = np.clip(distance.data - correction(evidence, settings), 0, 1).astype(np.float32)
    rows = entry_rows(distance.indptr)
    data[rows == distance.indices] = 0
    return csr_array((data, distance.indices, distance.indptr), shape=distance.shape)


def compared_distances(
    jaccard: csr_array, judged: csr_array | None, evidence: np.ndarray | None, settings: TimeConfig
) -> tuple[csr_array, csr_array]:
    """Return the distances that are clustered, and those that eps is compared with.

    Args:
        jaccard: float32 (N, N), as `graph_distance`.
        judged: float32 (N, N), as `judged_distance`; None: Jaccard distances are clustered.
        evidence: float32 (nnz,), what the times of each stored pair say; None: nothing.
        settings: the `time` section.

    Returns:
        float32 (N, N), float32 (N, N).
    """
    near_by, distance = jaccard, judged
    if evidence is not None:
        near_by = corrected(jaccard, evidence, settings)
        distance = None if judged is None else corrected(judged, evidence, settings)
    return near_by if distance is None else distance, near_by


def correction(evidence: np.ndarray, settings: TimeConfig) -> np.ndarray:
    """Return what evidence takes from the distance of each pair, and adds to its similarity.

    weight x min(most, max(-most, evidence))

    Args:
        evidence: float, log ratios of any shape.
        settings: weight and most.
    """
    return settings.weight * np.clip(evidence, -settings.most, settings.most)
