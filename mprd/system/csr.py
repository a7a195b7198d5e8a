"""Small things that scipy does not say of a CSR matrix."""

import numpy as np


def entry_rows(indptr: np.ndarray) -> np.ndarray:
    """Return the row of each stored entry, int64 (nnz,).

    Args:
        indptr: int (N + 1,), where each row begins.
    """
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
