"""How an artifact is declared: its arrays and attributes; and what `graph.h5` must not be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NOT_ROWS = "indptr and indices are no rows of ascending columns"


@dataclass(frozen=True)
class Array:
    """One data set of an artifact.

    Attributes:
        dtype: numpy dtype name, or `str` for variable-length UTF-8.
        dims: names of the dimensions; a name stands for the same size in the whole file, an
            integer for itself, `N+1` for one more than `N`.
        description: what a row is.
        units: units, where they apply.
        minimum: smallest value allowed.
        maximum: largest value allowed.
        below: name of a dimension that every value is smaller than (for row indices).
        unit_rows: rows have length 1.
        finite: NaN and infinities are refused (floats only).
        streamed: too large to be scanned at each read; rows are read by chunk.
        others: dtypes that a file may hold instead; a reader gives `dtype` in any case.
        optional: a file may lack it.
    """

    dtype: str
    dims: tuple[str | int, ...]
    description: str
    units: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    below: str | None = None
    unit_rows: bool = False
    finite: bool = True
    streamed: bool = False
    others: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Schema:
    """An artifact type: name, version, the `mprd` command that makes it, and its contents.

    `fault` says what several data sets together must not be; it is asked when a file is written.
    """

    name: str
    version: int
    command: str
    description: str
    arrays: dict[str, Array]
    attributes: dict[str, str] = field(default_factory=dict)
    fault: Callable[[Mapping[str, Any]], str | None] | None = None


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
