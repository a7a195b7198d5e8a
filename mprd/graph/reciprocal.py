"""k-reciprocal encoding: each row as a sparse, weighted set of its mutual neighbours.

Zhong, Zheng, Cao, Li: Re-ranking Person Re-identification with k-reciprocal Encoding, CVPR 2017.
"""

import numpy as np
from numba import njit
from scipy.sparse import csr_array

from mprd.graph.kernels import RowBlock, assemble, dot, grown
from mprd.system.checks import check_features
from mprd.system.threads import map_blocks


def list_sizes(k1: int, k2: int) -> tuple[int, int, int]:
    """Return (k1, half, k2): the lengths of the neighbour lists that the encoding reads."""
    return k1, round(k1 / 2) + 1, k2


def list_length(k1: int, k2: int) -> int:
    """Return how many neighbours of a row the encoding reads, the row itself included."""
    return max(list_sizes(k1, k2))


def reciprocal_vectors(
    features: np.ndarray, index: np.ndarray, k1: int, k2: int, threads: int | None = None
) -> csr_array:
    """Return the k-reciprocal encoding V of every row.

    With R(i, k) = {j in the k nearest of i : i in the k nearest of j}, row i is the softmax of
    -(2 - 2 cos) over R(i, k1), expanded by every R(c, half), c in R(i, k1), that shares more than
    two thirds of its members with R(i, k1); half = round(k1 / 2) + 1. Then each row becomes the
    mean of the rows of its k2 nearest (k2 = 1: unchanged).

    Args:
        features: float32 (N, D), rows L2-normalised.
        index: int (N, C), the nearest rows of each row, itself first (`knn`). All list lengths
            are clipped to C, which happens where N is small.
        k1: neighbours that take part in R, the row itself included.
        k2: rows averaged, the row itself included.
        threads: worker threads; the result does not depend on it.

    Returns:
        float32 (N, N), column indices sorted, values positive, rows summing to 1.

    Raises:
        ValueError: the index does not fit the features, or k1, k2 or threads is out of range.
    """
    features = check_features(features)
    index = _check_index(index, len(features), k1, k2)
    k1, half, k2 = (min(size, index.shape[1]) for size in list_sizes(k1, k2))
    count = len(index)
    near, near_size = _mutual_neighbors(index, k1, threads)
    core, core_size = _mutual_neighbors(index, half, threads)
    vectors = assemble(
        map_blocks(
            lambda a, b: _encode(features, near, near_size, core, core_size, a, b), count, threads
        ),
        count,
    )
    if k2 == 1:
        return vectors
    parts = vectors.indptr, vectors.indices, vectors.data
    return assemble(
        map_blocks(lambda a, b: _average(*parts, index[:, :k2], a, b), count, threads), count
    )


def _check_index(index: np.ndarray, count: int, k1: int, k2: int) -> np.ndarray:
    """Return the index as int32 (N, C), or say what is wrong with it."""
    index = np.asarray(index)
    if k1 < 1 or k2 < 1:
        raise ValueError(f"k1 and k2 must be at least 1, not {k1} and {k2}.")
    if index.ndim != 2 or len(index) != count or not np.issubdtype(index.dtype, np.integer):
        raise ValueError(
            "features and index do not fit together: "
            f"{count} rows, index {index.dtype} {index.shape}."
        )
    if count == 0:
        raise ValueError("there are no rows.")
    needed = min(count, list_length(k1, k2))
    if index.shape[1] < needed:
        raise ValueError(f"index has {index.shape[1]} columns; k1={k1}, k2={k2} need {needed}.")
    index = np.ascontiguousarray(index[:, :needed], dtype=np.int32)
    ordered = np.sort(index, axis=1)
    if ordered[:, 0].min() < 0 or ordered[:, -1].max() >= count:
        raise ValueError(f"index names rows that do not exist: outside 0..{count - 1}.")
    if (index[:, 0] != np.arange(count)).any():
        raise ValueError("the first column of index must be the row itself.")
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ValueError("index names the same neighbour twice in one row.")
    return index


def _mutual_neighbors(
    index: np.ndarray, k: int, threads: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return R(i, k) of every row: members int32 (N, k), only the first sizes int32 (N,) count."""
    members = np.empty((len(index), k), np.int32)
    sizes = np.empty(len(index), np.int32)
    map_blocks(lambda a, b: _mutual(index, k, a, b, members, sizes), len(index), threads)
    return members, sizes


@njit(nogil=True, cache=True)
def _mutual(
    index: np.ndarray, k: int, start: int, stop: int, members: np.ndarray, sizes: np.ndarray
) -> None:
    """Fill members and sizes of the rows start..stop-1."""
    for i in range(start, stop):
        size = 0
        for p in range(k):
            j = index[i, p]
            for q in range(k):
                if index[j, q] == i:
                    members[i, size] = j
                    size += 1
                    break
        sizes[i] = size


@njit(nogil=True, cache=True)
def _encode(
    features: np.ndarray,
    near: np.ndarray,
    near_size: np.ndarray,
    core: np.ndarray,
    core_size: np.ndarray,
    start: int,
    stop: int,
) -> RowBlock:
    """Return the rows start..stop-1 before query expansion.

    Args:
        features: float32 (N, D).
        near: int32 (N, k1), members of R(i, k1).
        near_size: int32 (N,), their number.
        core: int32 (N, half), members of R(i, half).
        core_size: int32 (N,), their number.
        start: first row.
        stop: row after the last.
    """
    members = np.empty(near.shape[1] * (1 + core.shape[1]), np.int32)
    weights = np.empty(len(members), np.float64)
    marked = np.full(len(features), -1, np.int32)  # marked[j] = i: j is in R(i, k1)
    taken = np.full(len(features), -1, np.int32)  # taken[j] = i: j is in the expanded set of i
    counts = np.empty(stop - start, np.int64)
    indices = np.empty(32 * (stop - start), np.int32)
    data = np.empty(len(indices), np.float32)
    used = 0
    for i in range(start, stop):
        size = _expanded_set(i, near, near_size, core, core_size, marked, taken, members)
        members[:size].sort()
        _softmax_weights(features, i, members[:size], weights)
        indices = grown(indices, used, used + size)
        data = grown(data, used, used + size)
        before = used
        for p in range(size):
            weight = np.float32(weights[p])
            if weight > 0:  # later kernels take zero for "not seen yet"
                indices[used] = members[p]
                data[used] = weight
                used += 1
        counts[i - start] = used - before
    return counts, indices[:used].copy(), data[:used].copy()


@njit(nogil=True, cache=True)
def _expanded_set(
    i: int,
    near: np.ndarray,
    near_size: np.ndarray,
    core: np.ndarray,
    core_size: np.ndarray,
    marked: np.ndarray,
    taken: np.ndarray,
    members: np.ndarray,
) -> int:
    """Write the expanded reciprocal set of i into `members`, return its size."""
    size = near_size[i]
    for p in range(size):
        j = near[i, p]
        marked[j] = i
        taken[j] = i
        members[p] = j
    for p in range(near_size[i]):
        c = near[i, p]
        shared = 0
        for q in range(core_size[c]):
            if marked[core[c, q]] == i:
                shared += 1
        if 3 * shared > 2 * core_size[c]:
            for q in range(core_size[c]):
                j = core[c, q]
                if taken[j] != i:
                    taken[j] = i
                    members[size] = j
                    size += 1
    return size


@njit(nogil=True, cache=True)
def _softmax_weights(
    features: np.ndarray, i: int, members: np.ndarray, weights: np.ndarray
) -> None:
    """Write the softmax of -(2 - 2 cos) over `members` into `weights`."""
    top = -np.inf
    for p in range(len(members)):
        weights[p] = 2 * dot(features[i], features[members[p]]) - 2
        top = max(top, weights[p])
    total = 0.0
    for p in range(len(members)):
        weights[p] = np.exp(weights[p] - top)
        total += weights[p]
    for p in range(len(members)):
        weights[p] /= total


@njit(nogil=True, cache=True)
def _average(
    indptr: np.ndarray,
    indices: np.ndarray,
    data: np.ndarray,
    nearest: np.ndarray,
    start: int,
    stop: int,
) -> RowBlock:
    """Return, for the rows start..stop-1, the mean of the CSR rows `nearest[i]`, int32 (N, k2)."""
    total = np.zeros(len(nearest), np.float64)
    seen = np.empty(len(nearest), np.int32)
    k2 = nearest.shape[1]
    counts = np.empty(stop - start, np.int64)
    out = np.empty(64 * (stop - start), np.int32)
    values = np.empty(len(out), np.float32)
    used = 0
    for i in range(start, stop):
        size = 0
        for p in range(k2):
            for entry in range(indptr[nearest[i, p]], indptr[nearest[i, p] + 1]):
                m = indices[entry]
                if total[m] == 0:
                    seen[size] = m
                    size += 1
                total[m] += data[entry]
        seen[:size].sort()
        out = grown(out, used, used + size)
        values = grown(values, used, used + size)
        before = used
        for p in range(size):
            value = np.float32(total[seen[p]] / k2)
            total[seen[p]] = 0
            if value > 0:
                out[used] = seen[p]
                values[used] = value
                used += 1
        counts[i - start] = used - before
    return counts, out[:used].copy(), values[:used].copy()
