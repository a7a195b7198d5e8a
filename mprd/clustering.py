"""DBSCAN on a sparse distance graph, and agreement of clusters with known identities."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from mprd.artifacts import Artifact


def graph_distance(graph: Artifact) -> csr_array:
    """Return the Jaccard distances of `graph.h5`, float32 (N, N)."""
    count = len(graph["indptr"]) - 1
    return csr_array((graph["data"], graph["indices"], graph["indptr"]), shape=(count, count))


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
        ValueError: the matrix is not square, eps is not positive, or min_samples is below 1.
    """
    count = distance.shape[0]
    if distance.shape != (count, count):
        raise ValueError(f"distance must be a square matrix, not {distance.shape}.")
    if not eps > 0 or min_samples < 1:
        raise ValueError(
            f"eps must be positive and min_samples at least 1, not {eps} and {min_samples}."
        )
    rows = np.repeat(np.arange(count), np.diff(distance.indptr))
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


@dataclass(frozen=True)
class PairQuality:
    """Agreement of a clustering with identities: over all images, and over pairs of images.

    Attributes:
        nmi: normalised mutual information (arithmetic mean of the entropies).
        ari: adjusted Rand index.
        precision: share of the pairs in one cluster that are of one identity; 0 without pairs.
        recall: share of the pairs of one identity that are in one cluster; 0 without pairs.
        f1: harmonic mean of precision and recall; 0 if both are 0.
    """

    nmi: float
    ari: float
    precision: float
    recall: float
    f1: float


def pair_quality(labels: np.ndarray, identities: np.ndarray) -> PairQuality:
    """Compare pseudo-labels with identities, in O(N log N).

    Args:
        labels: int (N,), -1 outlier: each is a cluster of its own.
        identities: int (N,), -1 unknown: not counted.

    Raises:
        ValueError: the lengths differ, or no identity is known.
    """
    labels, identities = np.asarray(labels), np.asarray(identities)
    if labels.ndim != 1 or labels.shape != identities.shape:
        raise ValueError(
            f"labels {labels.shape} and identities {identities.shape} differ, or are not flat."
        )
    known = identities >= 0
    if not known.any():
        raise ValueError("no identity is known, there is nothing to compare with.")
    labels, identities = labels[known].astype(np.int64), identities[known]
    outlier = labels < 0
    labels[outlier] = labels.max() + 1 + np.arange(outlier.sum())
    _, cluster, cluster_size = np.unique(labels, return_inverse=True, return_counts=True)
    _, identity, identity_size = np.unique(identities, return_inverse=True, return_counts=True)
    cell, shared = np.unique(cluster * len(identity_size) + identity, return_counts=True)
    together, clustered, same = _pairs(shared), _pairs(cluster_size), _pairs(identity_size)
    return PairQuality(
        nmi=_mutual_information(cell, shared, cluster_size, identity_size),
        ari=_rand_index(together, clustered, same, _pairs(np.array([len(labels)]))),
        precision=together / clustered if clustered else 0.0,
        recall=together / same if same else 0.0,
        f1=2 * together / (clustered + same) if clustered + same else 0.0,
    )


def _pairs(sizes: np.ndarray) -> int:
    """Return the number of unordered pairs within groups of these sizes."""
    return int((sizes * (sizes - 1) // 2).sum())


# The two indices are those of scikit-learn, whose import would take two thirds of the stage's time.


def _mutual_information(
    cell: np.ndarray, shared: np.ndarray, cluster_size: np.ndarray, identity_size: np.ndarray
) -> float:
    """Return mutual information over the mean entropy; 1 where both are a single group."""
    if len(cluster_size) == len(identity_size) == 1:
        return 1.0
    total = shared.sum()
    cluster, identity = np.divmod(cell, len(identity_size))
    joint = shared / total
    by_chance = (cluster_size[cluster] / total) * (identity_size[identity] / total)
    information = float((joint * np.log(joint / by_chance)).sum())
    return information / ((_entropy(cluster_size) + _entropy(identity_size)) / 2)


def _entropy(sizes: np.ndarray) -> float:
    share = sizes / sizes.sum()
    return float(-(share * np.log(share)).sum())


def _rand_index(together: int, clustered: int, same: int, all_pairs: int) -> float:
    """Return the adjusted Rand index (Hubert & Arabie, 1985) from numbers of pairs."""
    if together == clustered == same:
        return 1.0
    by_chance = clustered * same / all_pairs
    return (together - by_chance) / ((clustered + same) / 2 - by_chance)
