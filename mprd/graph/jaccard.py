"""Sparse Jaccard distance between k-reciprocal encodings.

For rows V_i that sum to 1, with s = sum_m min(V_im, V_jm), the weighted Jaccard distance is
d(i, j) = 1 - s / (2 - s). Pairs that share no member have distance 1: an inverted index (the
columns of V) reaches just the others, so nothing of size N x N is ever made.
"""

import numpy as np
from numba import njit
from scipy.sparse import csr_array

from mprd.graph.kernels import RowBlock, assemble, grown
from mprd.graph.parallel import map_blocks
from mprd.graph.reciprocal import reciprocal_vectors

_BLOCK_ROWS = 256


def jaccard_distance(
    features: np.ndarray,
    index: np.ndarray,
    k1: int = 30,
    k2: int = 6,
    eps_max: float = 0.7,
    threads: int | None = None,
) -> csr_array:
    """Return the k-reciprocal Jaccard distances up to `eps_max` (Zhong et al., CVPR 2017).

    Args:
        features: float32 (N, D), rows L2-normalised.
        index: int (N, C), `knn`'s index: the row itself first, C >= max(k1, k2,
            round(k1 / 2) + 1), or C = N where N is smaller; the lists are then clipped to N.
        k1: neighbours of the reciprocal sets, the row itself included.
        k2: neighbours of the query expansion, the row itself included; 1: none.
        eps_max: larger distances are not stored; in [0, 1).
        threads: worker threads, None: all CPUs; the result does not depend on it.

    Returns:
        float32 (N, N), exactly symmetric, column indices sorted, the diagonal stored as 0.

    Raises:
        ValueError: the index does not fit the features, or a parameter is out of range.

    Example:
        >>> features = np.eye(4, dtype=np.float32)[[0, 0, 1, 1]]
        >>> index = np.array([[0, 1], [1, 0], [2, 3], [3, 2]])
        >>> jaccard_distance(features, index, k1=2, k2=1).indices.tolist()
        [0, 1, 0, 1, 2, 3, 2, 3]
    """
    if not 0 <= eps_max < 1:
        raise ValueError(f"eps_max is {eps_max}; it must be at least 0 and below 1.")
    vectors = reciprocal_vectors(features, index, k1, k2, threads)
    inverted = vectors.tocsc()
    rows = vectors.indptr, vectors.indices, vectors.data
    columns = inverted.indptr, inverted.indices, inverted.data
    count = vectors.shape[0]
    limit = np.float32(eps_max)
    blocks = map_blocks(
        lambda start, stop: _near_pairs(*rows, *columns, limit, start, stop),
        count,
        threads,
        _BLOCK_ROWS,
    )
    return assemble(blocks, count)


@njit(nogil=True, cache=True)
def _distance(shared: float) -> np.float32:
    """Return 1 - s / (2 - s), 0 where rounding lifts s above 1."""
    return np.float32(max(0.0, 1 - shared / (2 - shared)))


@njit(nogil=True, cache=True)
def _accumulate(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    column_indptr: np.ndarray,
    column_indices: np.ndarray,
    column_data: np.ndarray,
    i: int,
    shared: np.ndarray,
    seen: np.ndarray,
) -> int:
    """Add s(i, j) to `shared` for all j that share a member with i, list them in `seen`.

    Members come in ascending order for either end of a pair, so s(i, j) and s(j, i) are the
    same sum, bit for bit. Values are positive, so zero means "not seen yet".

    Args:
        indptr: of V, CSR.
        indices: of V, sorted in each row.
        data: of V, positive.
        column_indptr: of V, CSC.
        column_indices: of V, CSC.
        column_data: of V, CSC.
        i: row.
        shared: float64, zero on entry.
        seen: int32, as long; its head is written.

    Returns:
        How many were seen.
    """
    count = 0
    for entry in range(indptr[i], indptr[i + 1]):
        m = indices[entry]
        weight = data[entry]
        for other in range(column_indptr[m], column_indptr[m + 1]):
            j = column_indices[other]
            if shared[j] == 0:
                seen[count] = j
                count += 1
            shared[j] += min(weight, column_data[other])
    return count


@njit(nogil=True, cache=True)
def _near_pairs(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    column_indptr: np.ndarray,
    column_indices: np.ndarray,
    column_data: np.ndarray,
    limit: np.float32,
    start: int,
    stop: int,
) -> RowBlock:
    """Return the distances up to `limit` of the rows start..stop-1."""
    size = len(indptr) - 1
    shared = np.zeros(size, np.float64)
    seen = np.empty(size, np.int32)
    counts = np.empty(stop - start, np.int64)
    out = np.empty(32 * (stop - start), np.int32)
    values = np.empty(len(out), np.float32)
    used = 0
    for i in range(start, stop):
        count = _accumulate(
            indptr, indices, data, column_indptr, column_indices, column_data, i, shared, seen
        )
        near = 0
        for p in range(count):
            j = seen[p]
            if j == i or _distance(shared[j]) <= limit:
                seen[near] = j
                near += 1
            else:
                shared[j] = 0
        seen[:near].sort()
        out = grown(out, used, used + near)
        values = grown(values, used, used + near)
        for p in range(near):
            j = seen[p]
            out[used + p] = j
            values[used + p] = 0 if j == i else _distance(shared[j])
            shared[j] = 0
        used += near
        counts[i - start] = near
    return counts, out[:used].copy(), values[:used].copy()
