"""Atomic files: locked, written beside the target, fsynced, renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from mprd.artifacts.locks import only_writer
from mprd.artifacts.partials import partial_path
from mprd.artifacts.places import cannot_write, free, make_folder
from mprd.artifacts.workbench import settle, write_behind, writes_behind
from mprd.errors import UserError, how_to_fix, producing_command, why_no_file


@contextmanager
def atomic(path: Path, size: int = 0, *, lock: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`.

    A lock on the target keeps out another writer: the second waits for the first. On an exception
    the temporary file is removed and `path` is untouched.

    Args:
        path: target.
        size: bytes that will be written, as far as they are known before.
        lock: False for a file among a user's own: no lock file stays beside it, and of two
            writers the last one wins.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    settle()  # files appear in the order in which they are made
    temporary = partial_path(path)
    make_folder(path.parent)
    try:
        with only_writer(path) if lock else nullcontext():
            _require_space(path, size)
            try:
                yield temporary
                _sync(temporary)
                os.replace(temporary, path)
                _sync(path.parent)
            finally:
                temporary.unlink(missing_ok=True)
    except OSError as error:
        # HDF5 reports a full disk without a file name; errors on other files are not ours.
        if error.filename is not None and Path(error.filename).name not in (
            temporary.name,
            path.parent.name,
            f".{path.name}.lock",
        ):
            raise
        raise cannot_write(path, error) from error


def deliver(
    path: Path,
    write: Callable[[bool], None],
    size: int,
    *,
    content: Any = None,
    lock: bool = True,
) -> None:
    """Write a file: now, or on a workbench behind the next stage.

    Args:
        path: target.
        write: writes it by `atomic`; its argument tells whether to take the lock. What it reads
            must not change any more.
        size: bytes of the file, about.
        content: what readers on a workbench get instead.
        lock: see `atomic`.

    Raises:
        UserError: as `atomic`; behind the next stage that stage, or a later one, raises it.
    """
    if not writes_behind(size):
        write(lock)
        return
    guard = only_writer(path) if lock else nullcontext()
    held = None if content is None else (content, size)
    write_behind(path, lambda: write(False), guard, held)


def _require_space(path: Path, size: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        UserError: too little space is free.
    """
    if size > shutil.disk_usage(path.parent).free:
        raise UserError(
            f"Cannot write {path}: it takes {size / 2**20:,.0f} MiB, {free(path)} are free. "
            "Free space, or set another results folder."
        )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON, atomically, with its digest. NaN becomes null."""
    plain = _without_nan(content)
    text = json.dumps(plain | {"digest": json_digest(plain)}, indent=2, allow_nan=False) + "\n"

    def write(lock: bool) -> None:
        with atomic(path, lock=lock) as temporary:
            temporary.write_text(text, encoding="utf-8")

    deliver(path, write, len(text))


def read_json(path: Path, schema: str, command: str) -> dict[str, Any]:
    """Read a JSON artifact and check its `schema` and its digest.

    Raises:
        UserError: the file is missing, no JSON, something else, or changed.
    """
    require_file(path, command)
    again = how_to_fix(path, command)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}). {again}") from None
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise UserError(f"{path} is not a {schema} file. {again}")
    if content.pop("digest", None) != json_digest(content):
        raise UserError(f"{path} was changed after it was written. {again}")
    return content


def require_file(path: Path, command: str) -> None:
    """Raise a UserError if `path` is not a file; one that is being written is waited for."""
    settle(path)
    if path.is_file():
        return
    command = producing_command(path, command)
    if path.is_dir():
        raise UserError(f"{why_no_file(path)}. Name the file in it that `mprd {command}` made.")
    raise UserError(f"{why_no_file(path)}. Make it with `mprd {command}`.")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_digest(path: Path) -> str:
    """Return the digest of a file's content: that in its header, where it has one, else SHA-256.

    A header is taken at its word; a reader of the file checks it. A damaged header is none.
    """
    if path.suffix == ".h5":
        from mprd.artifacts.disk import open_hdf5
        from mprd.artifacts.plain_hdf5 import text_attribute

        with suppress(OSError, RuntimeError), open_hdf5(path) as file:
            if digest := text_attribute(file, "digest"):
                return digest
    if path.suffix == ".safetensors":
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = stream.read(min(size, path.stat().st_size))
        if b'"mprd"' in header:  # another project's header has no digest of the tensors
            return hashlib.sha256(header).hexdigest()
    return sha256_file(path)


def json_digest(content: dict[str, Any]) -> str:
    """Return the SHA-256 of a JSON object, hexadecimal; the order of its keys does not count."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
