"""Atomic files: locked, written beside the target, fsynced, renamed."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mprd.errors import UserError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`.

    A lock on the target keeps out a stage that outlived a killed workflow: the second writer
    waits for the first. On an exception the temporary file is removed and `path` is untouched.

    Raises:
        UserError: the folder cannot be written to, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
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
        raise UserError(
            f"Cannot write {path}: {error.strerror or error}. Free space or mend the permissions."
        ) from error


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Another mprd process is writing {path}; waiting for it to end.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON, atomically, with its digest. NaN becomes null."""
    plain = _without_nan(content)
    text = json.dumps(plain | {"digest": _digest(plain)}, indent=2, allow_nan=False) + "\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path, schema: str, command: str) -> dict[str, Any]:
    """Read a JSON artifact and check its `schema` and its digest.

    Raises:
        UserError: the file is missing, no JSON, something else, or changed.
    """
    require_file(path, command)
    remedy = f"Make it again with `mprd {command}`."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON ({error}). {remedy}") from None
    if not isinstance(content, dict) or content.get("schema") != schema:
        raise UserError(f"{path} is not a {schema} file. {remedy}")
    if content.pop("digest", None) != _digest(content):
        raise UserError(f"{path} was changed after it was written. {remedy}")
    return content


def require_file(path: Path, command: str) -> None:
    """Raise a UserError if `path` is not a file."""
    if not path.is_file():
        raise UserError(f"{path} does not exist. Make it with `mprd {command}`.")


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
