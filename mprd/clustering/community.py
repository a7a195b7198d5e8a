"""Communities of the relation graph: Leiden with the constant Potts model.

DBSCAN joins two identities by one wrong edge; this weighs all pairs of a cluster. It maximises the
sum over pairs inside a cluster of (w_ij - gamma) (Traag, Van Dooren, Nesterov: Narrow Scope for
Resolution-Limit-Free Community Detection, Phys. Rev. E 2011) by the Leiden algorithm (Traag,
Waltman, van Eck: From Louvain to Leiden, Scientific Reports 2019).
"""

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.numbering import number_clusters
from mprd.config import ClusterConfig
from mprd.system.csr import entry_rows

_SEED = 0
_ITERATIONS = 2  # of Leiden; the second finds what the first has left


def cluster_by_community(distance: csr_array, settings: ClusterConfig) -> np.ndarray:
    """Return communities by 1 - distance, with the settings' gamma and min_size."""
    relation = relation_of(distance)
    assert settings.gamma != "auto", "stage `cluster` chooses it"
    return community(relation, settings.gamma, settings.min_size)


def community(relation: csr_array, gamma: float, min_size: int = 2) -> np.ndarray:
    """Return communities in which the mean relation of a pair exceeds gamma.

    Args:
        relation: (N, N), symmetric, w_ij in [0, 1]; a pair that is not stored has w = 0, and the
            diagonal does not count.
        gamma: mean relation that a cluster must reach, in (0, 1).
        min_size: images of a smaller community are outliers.

    Returns:
        int32 (N,), numbered by the first member, -1 for outliers; the same for equal input.

    Raises:
        ValueError: the matrix is not square, or gamma or min_size is out of range.

    Example:
        >>> two = csr_array(np.array([[0, 0.9, 0], [0.9, 0, 0.1], [0, 0.1, 0]]))
        >>> community(two, 0.5).tolist()
        [0, 0, -1]
    """
    count = relation.shape[0]
    if relation.shape != (count, count):
        raise ValueError(f"relation must be a square matrix, not {relation.shape}.")
    if not 0 < gamma < 1 or min_size < 1:
        raise ValueError(
            f"gamma must lie between 0 and 1, min_size be at least 1, not {gamma} and {min_size}."
        )
    edges = _without_diagonal(relation)
    group = _leiden(edges, gamma) if edges.nnz else np.arange(count)
    return number_clusters(group, min_size)


def _without_diagonal(relation: csr_array) -> csr_array:
    """Return the positive off-diagonal entries, in the dtypes that the library borrows."""
    count = relation.shape[0]
    rows = entry_rows(relation.indptr)
    keep = (rows != relation.indices) & (relation.data > 0)
    indptr = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(rows[keep], minlength=count), out=indptr[1:])
    data = relation.data[keep].astype(np.float64)
    return csr_array((data, relation.indices[keep].astype(np.int32), indptr), (count, count))


def _leiden(edges: csr_array, gamma: float) -> np.ndarray:
    """Return a community number of each row."""
    import graspologic_native

    count = edges.shape[0]
    _, found = graspologic_native.leiden_csr(
        edges.indptr.astype(np.int64),
        edges.indices.astype(np.int32),
        edges.data,
        count,
        resolution=gamma,
        iterations=_ITERATIONS,
        use_modularity=False,
        seed=_SEED,
    )
    group = count + np.arange(count)  # a row that is left out is a community of its own
    rows = np.fromiter(found.keys(), np.int64, len(found))
    group[rows] = np.fromiter(found.values(), np.int64, len(found))
    return group
