"""HDF5 files on disks that run out of space, or grant no locks.

HDF5 does not survive a failed write: it fails again when the file is closed, and can crash the
process. So it writes through this file object, which keeps the first error to itself, takes no more
from then on, and lets the error out when HDF5 is done.

Its own locks would keep a reader from a file that another process writes in place. Files of mprd
appear whole, by a rename, and are never changed; they are opened without. Where a file system
grants no locks HDF5 would open nothing at all.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import h5py


def open_hdf5(path: Path) -> h5py.File:
    """Open a file of mprd for reading.

    Raises:
        OSError: it is not there, no HDF5, or cut short.
    """
    if not path.exists():  # HDF5 does not name it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return h5py.File(path, "r", locking=False)


def open_anyones(path: Path) -> h5py.File:
    """Open a file that another program may be writing: locked, where the file system grants that.

    Raises:
        OSError: it is no HDF5, or another process writes it.
    """
    try:
        return h5py.File(path, "r")
    except OSError as error:
        held = error.errno in (errno.EAGAIN, errno.EACCES) or "errno = 11," in str(error)
        if held or "unable to lock" not in str(error):
            raise
        return open_hdf5(path)


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
