"""Sparse Jaccard distance between k-reciprocal encodings.

For rows V_i that sum to 1, with s = sum_m min(V_im, V_jm), the weighted Jaccard distance is
d(i, j) = 1 - s / (2 - s). Pairs that share no member have distance 1: an inverted index (the
columns of V) reaches just the others, so nothing of size N x N is ever made.
"""

import numpy as np
from numba import njit
from scipy.sparse import csr_array

from mprd.graph.kernels import RowBlock, assemble, grown
from mprd.graph.reciprocal import reciprocal_vectors
from mprd.system.threads import map_blocks


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
    upper = assemble(
        map_blocks(
            lambda start, stop: _near_pairs(*rows, *columns, limit, start, stop), count, threads
        ),
        count,
    )
    return csr_array(_mirrored(upper.indptr, upper.indices, upper.data), shape=upper.shape)


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
    """Add s(i, j) to `shared` for all j > i that share a member with i, list them in `seen`.

    Values are positive, so zero means "not seen yet".

    Args:
        indptr: of V, CSR.
        indices: of V, sorted in each row.
        data: of V, positive.
        column_indptr: of V, CSC.
        column_indices: of V, CSC.
        column_data: of V, CSC.
        i: row.
        shared: float64, zero on entry.
        seen: int32, longer by one; its head is written.

    Returns:
        How many were seen.
    """
    count = 0
    for entry in range(indptr[i], indptr[i + 1]):
        m = indices[entry]
        weight = data[entry]
        for other in range(column_indptr[m + 1] - 1, column_indptr[m] - 1, -1):
            j = column_indices[other]
            if j <= i:
                break
            seen[count] = j  # without a branch, which would be mispredicted every fourth time
            count += shared[j] == 0
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
    """Return the distances up to `limit` of the rows start..stop-1 to themselves and later rows."""
    size = len(indptr) - 1
    shared = np.zeros(size, np.float64)
    seen = np.empty(size + 1, np.int32)
    counts = np.empty(stop - start, np.int64)
    out = np.empty(16 * (stop - start), np.int32)
    values = np.empty(len(out), np.float32)
    used = 0
    # Below it no rounding makes a distance small enough: most pairs need no division.
    least = 2 * (1 - limit) / (2 - limit) - 1e-5
    for i in range(start, stop):
        count = _accumulate(
            indptr, indices, data, column_indptr, column_indices, column_data, i, shared, seen
        )
        near = 0
        for p in range(count):
            j = seen[p]
            if shared[j] > least and _distance(shared[j]) <= limit:
                seen[near] = j
                near += 1
            else:
                shared[j] = 0
        seen[:near].sort()
        out = grown(out, used, used + near + 1)
        values = grown(values, used, used + near + 1)
        out[used] = i
        values[used] = 0
        used += 1
        for p in range(near):
            j = seen[p]
            out[used + p] = j
            values[used + p] = _distance(shared[j])
            shared[j] = 0
        used += near
        counts[i - start] = near + 1
    return counts, out[:used].copy(), values[:used].copy()


@njit(nogil=True, cache=True)
def _mirrored(
    indptr: np.ndarray, indices: np.ndarray, data: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the symmetric matrix (data, indices, indptr) of an upper triangle with diagonal."""
    size = len(indptr) - 1
    full = np.zeros(size + 1, np.int64)
    for i in range(size):
        full[i + 1] += indptr[i + 1] - indptr[i]
        for entry in range(indptr[i] + 1, indptr[i + 1]):
            full[indices[entry] + 1] += 1
    full = np.cumsum(full)
    place = full[:-1].copy()
    columns = np.empty(full[-1], np.int32)
    values = np.empty(full[-1], np.float32)
    # Rows in ascending order: what lies below the diagonal of j comes before j's own entries.
    for i in range(size):
        for entry in range(indptr[i], indptr[i + 1]):
            j = indices[entry]
            columns[place[i]] = j
            values[place[i]] = data[entry]
            place[i] += 1
            if j != i:
                columns[place[j]] = i
                values[place[j]] = data[entry]
                place[j] += 1
    return values, columns, full
