"""Images from a file that does not fit into memory: a batch is read while another is used."""

import os
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mprd.artifacts import PIXELS, open_artifact, row_checksums
from mprd.errors import UserError, how_to_fix

_WORKERS = 8  # reads under way at once: a disk, and more so a network, answers many in one's time


class ReadAhead:
    """Rows of the images of `pixels.h5`, read by positions in the file and checked.

    HDF5 lets one thread in at a time. The images lie in one piece, so that they can be read beside
    it; a mapping of the file would do, too, but for a process that dies where a disk fails.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Args:
            path: a `pixels.h5`.

        Raises:
            UserError: not a sound pixels artifact.
        """
        self._path = path
        with open_artifact(path, PIXELS) as file:
            offset, self._shape = file["pixels"].id.get_offset(), file["pixels"].shape[1:]
            self._checksums = file["crc32"][:]
        if offset is None:
            raise UserError(f"{path} has images in pieces. {how_to_fix(path, PIXELS.command)}")
        self._offset = int(offset)
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        self._pool = ThreadPoolExecutor(_WORKERS)
        self._next: tuple[np.ndarray, np.ndarray, list[Future[None]]] | None = None

    def begin(self, rows: np.ndarray) -> None:
        """Begin to read a batch that will be asked for next.

        Args:
            rows: int64 (b,), rows of the file, in any order, repeats allowed.
        """
        self._next = self._start(rows)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the images of some rows, uint8 (b, H, W, 3); at once, if they were begun.

        Args:
            rows: as `begin`.

        Raises:
            UserError: an image is not what was written.
        """
        begun, self._next = self._next, None
        if begun is None or not np.array_equal(begun[0], rows):
            begun = self._start(rows)
        _, images, parts = begun
        for part in parts:
            part.result()
        return images

    def _start(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[Future[None]]]:
        images = np.empty((len(rows), *self._shape), np.uint8)
        shares = np.array_split(np.arange(len(rows)), min(_WORKERS, max(1, len(rows))))
        parts = [self._pool.submit(self._fill, images, rows, share) for share in shares]
        return rows, images, parts

    def _fill(self, images: np.ndarray, rows: np.ndarray, places: np.ndarray) -> None:
        """Read the images of a share of a batch into their places."""
        size = int(np.prod(self._shape))
        for place in places.tolist():
            row = int(rows[place])
            view = memoryview(images[place]).cast("B")
            try:
                found = os.preadv(self._file, [view], self._offset + row * size)
            except OSError as error:
                raise UserError(f"{self._path} cannot be read ({error.strerror}).") from None
            if found != size or row_checksums(images[place][None])[0] != self._checksums[row]:
                raise UserError(
                    f"{self._path}: pixels of row {row} are damaged. "
                    f"{how_to_fix(self._path, PIXELS.command)}"
                )
