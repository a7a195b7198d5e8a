"""A file for HDF5 to write into that may run out of space.

HDF5 does not survive a failed write: it fails again when the file is closed, and can crash the
process. So it writes through this file object, which keeps the first error to itself, takes no more
from then on, and lets the error out when HDF5 is done.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import h5py


class _Patient(FileIO):
    """A file whose first failed write is remembered, and later ones are not tried."""

    failed: OSError | None = None

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """Write all of it; a raw file may take a part only."""
        rest = memoryview(data)
        while len(rest) and self.failed is None:
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.failed = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Set the size."""
        try:
            return super().truncate(size)
        except OSError as error:
            self.failed = self.failed or error
            return size or 0


@contextmanager
def new_file(path: Path, userblock_size: int) -> Iterator[h5py.File]:
    """Yield a new HDF5 file, and close it.

    Args:
        path: of the file; an old one is overwritten.
        userblock_size: bytes that HDF5 leaves free at its begin.

    Raises:
        OSError: it cannot be written, such as on a full disk.
    """
    with _Patient(path, "w+b") as disk:
        file = h5py.File(disk, "w", userblock_size=userblock_size)
        try:
            yield file
        except BaseException:
            with suppress(OSError, RuntimeError):
                file.close()
            if disk.failed is not None:
                raise disk.failed from None
            raise
        file.close()
        if disk.failed is not None:
            raise disk.failed
