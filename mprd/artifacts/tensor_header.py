"""The header of a safetensors file, judged before a tensor is read or a network is built."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mprd.errors import UserError, is_utf8

_LENGTH_BYTES = 8
_MOST_BYTES = 4 * 2**20  # of a header; the largest networks take a tenth
_KINDS = {"F64", "F32", "F16", "I64", "I32", "I16", "I8", "U8", "BOOL"}
_OBJECTS = ("architecture", "config", "inputs")


def parse_object(text: str) -> dict[str, Any]:
    """Return a JSON object of anyone.

    Raises:
        ValueError: it is none, has a key twice, or is nested too deeply.
    """
    try:
        content = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("its JSON is no object")
    return content


def require_utf8(path: Path) -> None:
    """Check the path of a safetensors file: what is wrong with it is not wrong with the file.

    Raises:
        UserError: the library that reads such files cannot name it.
    """
    if not is_utf8(path):
        raise UserError(
            f"'{path}' is no UTF-8, which the path of a safetensors file must be. Rename it."
        )


def require_tensors(path: Path) -> None:
    """Check what a header says of the tensors, as far as the library that reads them does not.

    Raises:
        ValueError: as `require_length`; or it has a name twice, or a kind of number that no network
            of ours has.
    """
    size = require_length(path)
    with path.open("rb") as stream:
        stream.seek(_LENGTH_BYTES)
        content = parse_object(stream.read(size).decode("utf-8"))
    for name, tensor in content.items():
        if (
            name != "__metadata__"
            and isinstance(tensor, dict)
            and str(tensor.get("dtype")) not in _KINDS
        ):
            raise ValueError(f"{name!r} is {tensor.get('dtype')!r}, none of {sorted(_KINDS)}")


def require_length(path: Path) -> int:
    """Return the bytes of a header; a library would read one of any length.

    Raises:
        ValueError: it is longer than the file, or than that of any network.
    """
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if size > path.stat().st_size - _LENGTH_BYTES:
        raise ValueError("its header is longer than the file")
    if size > _MOST_BYTES:
        raise ValueError(f"its header has {size / 2**20:.0f} MiB, more than that of any network")
    return size


def parse_mprd_header(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Return what mprd wrote into the header; {}: it is not of mprd.

    Raises:
        ValueError: it is not what mprd writes.
    """
    header = parse_object((metadata or {}).get("mprd", "{}"))
    for key, value in header.items():
        if not isinstance(value, str):
            raise ValueError(f"its header has no text as {key}")
    for key in _OBJECTS if header else ():
        if key not in header:
            raise ValueError(f"its header lacks {key}")
        parse_object(header[key])
    if header and not header.get("seed", "").removeprefix("-").isdecimal():
        raise ValueError("its header has no number as seed")
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its JSON has a key twice")
    return found
