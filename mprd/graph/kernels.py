"""Small numba and array helpers that the graph modules share."""

import numpy as np
from numba import njit
from scipy.sparse import csr_array

# One block of CSR rows: entries per row, column indices, values.
RowBlock = tuple[np.ndarray, np.ndarray, np.ndarray]


# Summed in float64, four or more lanes at a time (hence reassoc): the same for equal rows
# wherever they lie, which a BLAS product with its edge cases does not promise.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Return the inner product of two float32 vectors, in float64."""
    total = 0.0
    for d in range(a.shape[0]):
        total += np.float64(a[d]) * np.float64(b[d])
    return total


@njit(nogil=True, cache=True)
def grown(array: np.ndarray, used: int, needed: int) -> np.ndarray:
    """Return `array`, or a copy of its first `used` elements with room for `needed`."""
    if needed <= array.shape[0]:
        return array
    larger = np.empty(max(needed, 2 * array.shape[0]), array.dtype)
    larger[:used] = array[:used]
    return larger


def assemble(blocks: list[RowBlock], width: int) -> csr_array:
    """Stack consecutive row blocks to a CSR matrix with `width` columns, float32."""
    counts = np.concatenate([counts for counts, _, _ in blocks])
    indptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    indices = np.concatenate([indices for _, indices, _ in blocks])
    data = np.concatenate([data for _, _, data in blocks])
    return csr_array((data, indices, indptr), shape=(len(counts), width))
