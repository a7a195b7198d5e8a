"""What an HDF5 file must be made of before a value of it is read.

Whoever makes a file can write its checksum, too. A few megabytes can promise gigabytes: one packed
chunk, thousands of references to one string, thousands of names of one data set. They can also name
other files. So each data set lies in the file itself, in one piece, and all values together take no
more bytes than the file has.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from mprd.artifacts.disk import open_anyones, open_hdf5
from mprd.errors import UserError

PACKED = 64  # times the bytes of a file that values of other programs may take
_BLOCK = 2**20  # references in memory
_LENGTH_BYTES, _NUMBER_BYTES = 4, 4  # of a reference to a string, before and behind its address


@contextmanager
def open_plain(path: Path, how_to_fix: str, foreign: Iterable[str] = ()) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, if it is plain.

    Args:
        path: the file.
        how_to_fix: what to do about one that is not, a sentence.
        foreign: the data sets that will be read of another program's file. They may be packed or
            in chunks, and take `PACKED` times the bytes of the file; the others are not looked at.

    Raises:
        UserError: it is no HDF5 file, or not plain.
    """
    packed = tuple(foreign)
    try:
        file = open_anyones(path) if packed else open_hdf5(path)
    except OSError:
        raise UserError(
            f"{path} is not a readable HDF5 file (cut short, perhaps). {how_to_fix}"
        ) from None
    with file:
        with unreadable(path, how_to_fix):
            need = 0
            if not packed:
                _require_scalars(file, str(path), how_to_fix)
            limit = path.stat().st_size * (PACKED if packed else 1)
            for key in filter(file.__contains__, packed) if packed else file:
                need += _bytes(file, key, path, how_to_fix, packed=bool(packed))
                if need > limit:
                    raise UserError(
                        f"{path}: {key} declares more values than the file holds. {how_to_fix}"
                    )
        yield file


@contextmanager
def unreadable(where: str | Path, how_to_fix: str) -> Iterator[None]:
    """Turn what HDF5 says of a damaged file into a sentence.

    Args:
        where: file, or file and key.
        how_to_fix: what to do about it, a sentence.

    Raises:
        UserError: HDF5 found damage.
    """
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        raise UserError(f"{where} is damaged ({str(error)[:200]}). {how_to_fix}") from None


def text_attribute(file: h5py.File, name: str) -> str:
    """Return an attribute of a file that may be anyone's; "": it has none, or it is no text."""
    if name not in file.attrs or file.attrs.get_id(name).shape != ():
        return ""
    value = file.attrs[name]
    return value if isinstance(value, str) else ""


def _bytes(file: h5py.File, key: str, path: Path, how_to_fix: str, *, packed: bool) -> int:
    """Return the bytes that the values of a data set take, without reading them.

    Raises:
        UserError: it is not plain.
    """
    where = f"{path}: {key}"
    if not isinstance(file.get(key, getlink=True), h5py.HardLink):
        raise UserError(f"{where} is a link to somewhere else. {how_to_fix}")
    data = file[key]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external or not data.shape:
        raise UserError(f"{where} is not a plain data set. {how_to_fix}")
    if not packed:
        _require_scalars(data, where, how_to_fix)
    properties, text = data.id.get_create_plist(), h5py.check_string_dtype(data.dtype)
    strings = text is not None and text.length is None
    if data.dtype.kind not in "biufS" and not strings:
        raise UserError(f"{where} holds neither numbers nor text. {how_to_fix}")
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_nfilters():
        if not packed or strings:
            raise UserError(f"{where} is packed or in pieces. {how_to_fix}")
        chunk = int(np.prod(data.chunks or (), dtype=object)) * data.dtype.itemsize
        return max(data.nbytes, chunk)
    width = _reference_bytes(file) if strings else data.dtype.itemsize
    need = data.size * width
    end = (data.id.get_offset() or 0) + need
    if data.id.get_storage_size() < need or (need and not need < end <= path.stat().st_size):
        raise UserError(f"{where} declares more values than the file holds. {how_to_fix}")
    return need + (_text_bytes(data, path, width) if strings else 0)


def _reference_bytes(file: h5py.File) -> int:
    """Return what a string takes in its data set: its length, and where the text lies."""
    address, _ = file.id.get_create_plist().get_sizes()
    return _LENGTH_BYTES + address + _NUMBER_BYTES


def _text_bytes(data: h5py.Dataset, path: Path, width: int) -> int:
    """Return the bytes of all strings of a data set; one that is there twice counts twice."""
    if not data.size:
        return 0
    references = np.dtype({"names": ["length"], "formats": ["<u4"], "itemsize": width})
    total, rest = 0, data.size
    with path.open("rb") as stream:
        stream.seek(data.id.get_offset())
        while rest:
            block = np.frombuffer(stream.read(min(rest, _BLOCK) * width), references)
            total, rest = total + int(block["length"].sum(dtype=np.int64)), rest - len(block)
    return total


def _require_scalars(place: h5py.File | h5py.Dataset, where: str, how_to_fix: str) -> None:
    """Refuse attributes that hold more than one number or text."""
    for name in place.attrs:
        attribute = place.attrs.get_id(name)
        text = h5py.check_string_dtype(attribute.dtype)
        if attribute.shape != () or (attribute.dtype.kind not in "biufS" and text is None):
            raise UserError(f"{where}: attribute {name} is no single value. {how_to_fix}")
