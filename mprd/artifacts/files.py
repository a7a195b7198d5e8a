"""Atomic files: locked, written beside the target, fsynced, renamed."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mprd.artifacts.workbench import settle, write_behind, writes_behind
from mprd.errors import UserError, how_to_fix, producing_command, say, why_no_file


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
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
        raise _cannot_write(path, error) from error


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


def make_folder(folder: Path) -> None:
    """Make a folder where it is missing, and those above it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        why = "a file has its name, or that of a folder above it"
        raise _cannot_write_into(folder, why) from error
    except OSError as error:
        raise _cannot_write_into(folder, _reason(error)) from error


def require_writable(folder: Path) -> None:
    """Check that files can be written into a folder; it is made where it is missing.

    Raises:
        UserError: they cannot.
    """
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write_into(folder, _reason(error)) from error


def _cannot_write_into(folder: Path, why: str) -> UserError:
    return UserError(
        f"Cannot write into {folder}: {why}. Name another folder, or fix the permissions."
    )


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"Cannot write {path}: {_reason(error)} ({_free(path)} are free). Free space, fix the "
        "permissions, or name another place."
    )


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Keep other processes from writing `path` meanwhile: who comes second waits.

    A stage holds this while it computes, too, so that one that outlived a killed workflow and the
    one that was started in its place do not do the same work side by side. The same process may
    enter again. Where the file system grants no locks (some network mounts) there is a note.

    Raises:
        UserError: no file can be made there.
    """
    make_folder(path.parent)
    lock = FileLock(path.absolute().with_name(f".{path.name}.lock"), is_singleton=True)
    _acquire(lock, path)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path) -> None:
    """Take a lock, or wait for it; go on without it where there are none."""
    try:
        lock.acquire(timeout=0)
    except (NotImplementedError, OSError) as error:
        try:
            granted = grants_locks(Path(lock.lock_file))
        except OSError as refused:
            raise _cannot_write(path, refused) from error
        if not granted:
            say(
                f"note: the file system of {path.parent} grants no locks. See to it that no second "
                "mprd writes there.",
                flush=True,
            )
            return
        if not isinstance(error, Timeout):
            raise
        say(f"Another mprd process is making {path}; waiting for it to end.", flush=True)
        lock.acquire()


def grants_locks(path: Path) -> bool:
    """Tell whether a lock on a file can be had at all, now or later."""
    try:
        import fcntl
    except ImportError:  # Windows: its locks are part of every file system
        return True
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _require_space(path: Path, size: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        UserError: too little space is free.
    """
    if size > shutil.disk_usage(path.parent).free:
        raise UserError(
            f"Cannot write {path}: it takes {size / 2**20:,.0f} MiB, {_free(path)} are free. Free "
            "space, or set another results folder."
        )


def _free(path: Path) -> str:
    return f"{shutil.disk_usage(path.parent).free / 2**20:,.0f} MiB"


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
        import h5py

        from mprd.artifacts.plain_hdf5 import text_attribute

        with suppress(OSError, RuntimeError), h5py.File(path, "r") as file:
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
