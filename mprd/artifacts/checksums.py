"""What tells a whole HDF5 artifact from a damaged one, before HDF5 reads a byte of it.

HDF5 does not notice changed values, and on a changed structure it can hang or crash. So a file
begins with 512 bytes of ours (HDF5's user block; every tool skips it) that hold the checksum of all
the rest. Of a data set that is too large to be read at every opening, the bytes are left out: its
rows have checksums of their own.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from mprd.artifacts.declaration import Schema
from mprd.artifacts.disk import open_hdf5
from mprd.errors import UserError

SEAL_BYTES = 512
_SEAL = "mprd artifact, HDF5 from byte 512 on\ncrc32 without bytes {} to {}: {:08x}\n"
_SEALED = re.compile(rb"mprd artifact, HDF5 .*\ncrc32 without bytes (\d{1,20}) to (\d{1,20}): ")
_BLOCK_BYTES = 16 * 2**20


def seal(path: Path, schema: Schema) -> None:
    """Write the checksum of a file that was made with a user block of `SEAL_BYTES`."""
    with open_hdf5(path) as file:
        begin, end = _exempt(file, schema)
    with path.open("r+b") as file:
        file.write(_head(path, begin, end))


def check_seal(path: Path, how_to_fix: str) -> None:
    """Refuse a file that is not what was written.

    Args:
        path: an HDF5 artifact.
        how_to_fix: what to do about it, a sentence.

    Raises:
        UserError: it was changed or cut short, or this mprd did not write it.
    """
    with path.open("rb") as file:
        head = file.read(SEAL_BYTES)
    if head.startswith(b"\x89HDF"):
        raise UserError(f"{path} has no checksum: not this mprd wrote it. {how_to_fix}")
    if path.suffix != ".h5":
        raise UserError(f"{path} is no HDF5 artifact of mprd. Name a file that ends in .h5.")
    sealed = _SEALED.match(head)
    if sealed is None or head != _head(path, int(sealed[1]), int(sealed[2])):
        raise UserError(f"{path} is damaged: it is not what was written. {how_to_fix}")


def row_checksums(rows: np.ndarray) -> np.ndarray:
    """Return the CRC-32 of each row, uint32 (n,).

    Args:
        rows: (n, ...), contiguous rows.
    """
    return np.array([zlib.crc32(row) for row in np.ascontiguousarray(rows)], np.uint32)


def content_digest(file: h5py.File | Mapping[str, np.ndarray], schema: Schema) -> str:
    """Return the SHA-256 of names, dtypes, shapes and values of all data sets of the schema.

    Args:
        file: an open file, or the arrays that are written into one.
        schema: of the file.
    """
    sha = hashlib.sha256(f"{schema.name}:{schema.version}".encode())
    for key in sorted(schema.arrays):
        if key not in file and schema.arrays[key].optional:
            continue
        data = file[key]
        sha.update(f"{key}:{schema.arrays[key].dtype}:{data.shape}".encode())
        row_bytes = max(1, data.dtype.itemsize * int(np.prod(data.shape[1:])))
        step = max(1, _BLOCK_BYTES // row_bytes)
        for start in range(0, data.shape[0], step):
            block = data[start : start + step]
            if schema.arrays[key].dtype == "str":
                sha.update(b"\0".join(map(_encoded, block)) + b"\0")
            else:
                sha.update(np.ascontiguousarray(block).data)
    return sha.hexdigest()


def _encoded(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def require_exempt(file: h5py.File, schema: Schema, how_to_fix: str) -> None:
    """Refuse a checksum that leaves out other bytes than those of the streamed data set.

    Args:
        file: open, plain and sealed.
        schema: of the file.
        how_to_fix: what to do about it, a sentence.

    Raises:
        UserError: it does.
    """
    path = Path(file.filename)
    with path.open("rb") as stream:
        sealed = _SEALED.match(stream.read(SEAL_BYTES))
    if sealed is None or (int(sealed[1]), int(sealed[2])) != _exempt(file, schema):
        raise UserError(
            f"{path} is damaged: its checksum leaves out what it must not. {how_to_fix}"
        )


def _exempt(file: h5py.File, schema: Schema) -> tuple[int, int]:
    """Return begin and end of the bytes that the checksum leaves out."""
    for key, array in schema.arrays.items():
        if array.streamed and key in file and file[key].size:
            begin = file[key].id.get_offset()
            return begin, begin + file[key].nbytes
    return SEAL_BYTES, SEAL_BYTES


def _head(path: Path, begin: int, end: int) -> bytes:
    """Return the user block of a file: the checksum of all behind it but the bytes begin to end."""
    return _SEAL.format(begin, end, _file_crc(path, begin, end)).encode().ljust(SEAL_BYTES, b"\0")


def _file_crc(path: Path, begin: int, end: int) -> int:
    value, size = 0, path.stat().st_size
    if not SEAL_BYTES <= begin <= end <= size:
        return -1  # no range of this file
    with path.open("rb") as file:
        for first, last in ((SEAL_BYTES, begin), (end, size)):
            file.seek(first)
            while block := file.read(min(_BLOCK_BYTES, last - file.tell())):
                value = zlib.crc32(block, value)
    return value
