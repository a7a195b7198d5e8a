"""Reading data sets: whole, as a view of their file, or some rows."""

import os
from pathlib import Path

import h5py
import numpy as np

from mprd.artifacts.checksums import row_checksums
from mprd.artifacts.declaration import Array
from mprd.artifacts.schema import PIXELS
from mprd.errors import UserError, how_to_fix

MAPPED_BYTES = 256 * 2**20  # data sets from this size on are mapped, not read


def read_values(data: h5py.Dataset, array: Array, path: Path | None = None) -> np.ndarray:
    """Return a data set as its declaration says.

    Args:
        data: of an open file.
        array: its declaration.
        path: of its finished file, so that a large data set can be mapped.
    """
    if h5py.check_string_dtype(data.dtype):
        return data.asstr()[:].astype(object)
    if path is not None and data.nbytes >= MAPPED_BYTES and data.dtype.name == array.dtype:
        return _mapped(data, path)
    return data[:].astype(array.dtype, copy=False)


def _mapped(data: h5py.Dataset, path: Path) -> np.ndarray:
    """Return a large data set as a view of its file: the system may drop what is not in use.

    Who writes into it changes a copy of its own. A file that is made again meanwhile is another
    file by the same name, so what is mapped stays as it was checked.
    """
    offset = data.id.get_offset()
    if offset is None or os.name != "posix":  # without rows, or a mapped file is held fast
        return data[:]
    mapped = np.memmap(path, data.dtype, "c", offset, data.shape)
    return mapped.view(np.ndarray)


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
            f"{how_to_fix(Path(file.filename), PIXELS.command)}"
        )
    return images
