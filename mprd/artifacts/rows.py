"""Reading some rows of a large data set."""

from pathlib import Path

import h5py
import numpy as np

from mprd.artifacts.checksums import row_checksums
from mprd.artifacts.schema import PIXELS
from mprd.errors import UserError, remedy


def read_rows(data: h5py.Dataset, rows: np.ndarray) -> np.ndarray:
    """Return rows of a data set in any order, repeats allowed; contiguous runs in one read."""
    rows = np.asarray(rows)
    if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return data[rows[0] : rows[0] + len(rows)]
    unique, inverse = np.unique(rows, return_inverse=True)
    return data[unique][inverse]


def read_images(file: h5py.File, rows: np.ndarray) -> np.ndarray:
    """Return images of an open `pixels.h5`, checked against their checksums.

    Args:
        file: of `open_artifact`.
        rows: (b,), in any order, repeats allowed.

    Returns:
        uint8 (b, H, W, 3).

    Raises:
        UserError: an image is not what was written.
    """
    images = read_rows(file["pixels"], rows)
    wrong = row_checksums(images) != read_rows(file["crc32"], rows)
    if wrong.any():
        raise UserError(
            f"{file.filename}: pixels of row {int(np.asarray(rows)[wrong][0])} are damaged. "
            f"{remedy(Path(file.filename), PIXELS.command)}"
        )
    return images
