"""The sparse matrix of `graph.h5`: square, in compressed rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

NOT_ROWS = "indptr and indices are no rows of ascending columns"


def rows_ascend(indptr: np.ndarray, indices: np.ndarray) -> bool:
    """Tell whether the pointers cut the columns into rows of ascending columns."""
    if indptr[0] != 0 or indptr[-1] != len(indices) or (np.diff(indptr) < 0).any():
        return False
    ascends = np.diff(indices) > 0
    ends = indptr[1:-1] - 1  # between the last entry of a row and the first of the next
    ascends[ends[(ends >= 0) & (ends < len(ascends))]] = True
    return bool(ascends.all())


def is_symmetric(indptr: np.ndarray, indices: np.ndarray, values: np.ndarray) -> bool:
    """Tell whether rows of ascending columns are a symmetric matrix, bit for bit."""
    from scipy.sparse import csr_array

    count = len(indptr) - 1
    mirrored = csr_array((values, indices, indptr), shape=(count, count)).T.tocsr()
    pairs = (mirrored.indptr, indptr), (mirrored.indices, indices), (mirrored.data, values)
    return all(np.array_equal(one, other) for one, other in pairs)


def graph_fault(file: Mapping[str, Any]) -> str | None:
    """Return what is wrong with `indptr`, `indices` and `data`; None if they are symmetric."""
    indptr, indices, values = (file[key][:] for key in ("indptr", "indices", "data"))
    if not rows_ascend(indptr, indices):
        return NOT_ROWS
    return None if is_symmetric(indptr, indices, values) else "the pairs are not symmetric"
