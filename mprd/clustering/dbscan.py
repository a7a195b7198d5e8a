"""DBSCAN on a sparse distance graph (Ester et al., KDD 1996)."""

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from mprd.config import ClusterConfig
from mprd.system.checks import check_distances
from mprd.system.csr import entry_rows


def cluster_by_density(distance: csr_array, settings: ClusterConfig) -> np.ndarray:
    """Return DBSCAN labels with the settings' eps and min_samples."""
    return dbscan(distance, settings.eps, settings.min_samples)


def dbscan(distance: csr_array, eps: float, min_samples: int = 4) -> np.ndarray:
    """Return DBSCAN labels, the same as sklearn's `DBSCAN(metric="precomputed")`.

    A row with at least `min_samples` entries up to eps, itself included, is a core row. Core
    rows within eps of each other share a cluster; clusters are numbered by their first core row.
    Any other row within eps of a core row joins the lowest numbered such cluster; the rest are
    outliers (Ester et al., KDD 1996).

    Args:
        distance: (N, N), symmetric; a pair that is not stored is farther than eps. A graph
            that was cut off below eps cannot be told from a complete one here: the caller checks.
        eps: radius.
        min_samples: rows within eps that make a core row.

    Returns:
        int32 (N,), -1 for outliers.

    Raises:
        ValueError: no square CSR matrix of distances, eps is not positive, or min_samples is
            below 1.
    """
    count = check_distances(distance).shape[0]
    if not eps > 0 or min_samples < 1:
        raise ValueError(
            f"eps must be positive and min_samples at least 1, not {eps} and {min_samples}."
        )
    rows = entry_rows(distance.indptr)
    columns = distance.indices
    # float(): as sklearn does, float32 distances are compared in float32.
    near = (distance.data <= float(eps)) & (rows != columns)
    rows, columns = rows[near], columns[near]
    core = np.bincount(rows, minlength=count) + 1 >= min_samples
    labels = np.full(count, -1, np.int32)
    labels[core] = _core_labels(rows, columns, core)
    border = core[rows] & ~core[columns]
    joined = np.full(count, np.iinfo(np.int32).max, np.int32)
    np.minimum.at(joined, columns[border], labels[rows[border]])
    reached = joined < np.iinfo(np.int32).max
    labels[reached] = joined[reached]
    return labels


def _core_labels(rows: np.ndarray, columns: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Return the component of each core row, numbered by first appearance."""
    count = int(core.sum())
    if count == 0:
        return np.empty(0, np.int32)
    position = np.cumsum(core) - 1
    inside = core[rows] & core[columns]
    pairs = position[rows[inside]], position[columns[inside]]
    graph = csr_array((np.ones(len(pairs[0]), np.bool_), pairs), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first)).astype(np.int32)[inverse]
