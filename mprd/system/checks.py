"""Checks of values that come from outside, at the edge of the public functions."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array, csr_matrix

from mprd.errors import UserError


def check_features(features: Any, name: str = "features") -> np.ndarray:
    """Return features as C-contiguous float32 (N, D).

    Raises:
        ValueError: not two-dimensional, or NaN or infinite somewhere.
    """
    array = np.ascontiguousarray(features, dtype=np.float32)
    if array.ndim != 2:
        raise ValueError(f"{name} must be (N, D), not {array.shape}.")
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(f"{name} hold NaN or infinite values, first in row {row}.")
    return array


def unit_rows(features: np.ndarray, name: str = "the features") -> np.ndarray:
    """Return features of any network as C-contiguous float32 (N, D), rows of unit length.

    Args:
        features: float (N, D).
        name: what to call them in an error.

    Raises:
        UserError: another shape or type, or a row that has no direction.
    """
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise UserError(
            f"{name[:1].upper()}{name[1:]} must be floats (N, D), one row for each image, not "
            f"{features.dtype} {features.shape}."
        )
    wide = features.astype(np.float32) if features.dtype == np.float16 else features
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    fine = np.isfinite(lengths) & (lengths > 0)
    if not fine.all():
        row = int(np.argmin(fine))
        raise UserError(f"Row {row} of {name} is zero, NaN or infinite. Fix or remove it.")
    return np.ascontiguousarray(wide / lengths, np.float32)


def check_integers(values: Any, count: int, name: str) -> np.ndarray:
    """Return labels, identities, cameras or rows as int64 (count,).

    Whole numbers that are stored as floats are taken.

    Raises:
        ValueError: another length, or no whole numbers.
    """
    array = np.asarray(values)
    if array.shape != (count,):
        raise ValueError(f"{name} must be ({count},), not {array.shape}.")
    whole = array.dtype.kind in "iub" or (
        array.dtype.kind == "f" and bool((np.isfinite(array) & (array == np.floor(array))).all())
    )
    if not whole and count:
        raise ValueError(f"{name} must be whole numbers, not {array.dtype} with other values.")
    return np.ascontiguousarray(array, np.int64)


def check_distances(distance: Any) -> csr_array:
    """Return a sparse matrix of distances as it is.

    Raises:
        ValueError: no square CSR matrix, or NaN, infinite or negative somewhere.
    """
    shape = getattr(distance, "shape", (0, 1))
    if not isinstance(distance, csr_array | csr_matrix) or shape[0] != shape[1]:
        kind = type(distance).__name__
        raise ValueError(f"distance must be a square scipy.sparse.csr_array, not {kind} {shape}.")
    fine = np.isfinite(distance.data) & (distance.data >= 0)
    if not fine.all():
        row = int(np.searchsorted(distance.indptr, np.argmin(fine), side="right")) - 1
        raise ValueError(f"distance holds NaN, infinite or negative values, first in row {row}.")
    return distance if isinstance(distance, csr_array) else csr_array(distance)
