"""Locks on files: of two processes that make one, the second waits for the first."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mprd.artifacts.places import cannot_write, make_folder, where
from mprd.errors import UserError, say


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
    file = path.absolute().with_name(f".{path.name}.lock")
    try:
        lock = take_lock(file, shared=True)
    except Timeout:
        say(f"Another mprd process is making {path}; waiting for it to end.", flush=True)
        lock = FileLock(file, is_singleton=True)
        lock.acquire()
    if lock is None:
        say(f"note: {no_locks(path.parent)}", flush=True)
    try:
        yield
    finally:
        if lock is not None:
            lock.release()


@contextmanager
def briefly_alone(path: Path) -> Iterator[bool]:
    """Keep other threads and processes that do the same from a file, and wait for them.

    The same thread may enter again. Who can only read the file keeps nobody out.

    Yields:
        Whether the file system grants locks; else nobody is kept out.

    Raises:
        UserError: there can be no lock beside a file that can be written.
    """
    try:
        lock = take_lock(path.absolute().with_name(f".{path.name}.lock"), shared=True, wait=True)
    except UserError:
        if os.access(path, os.W_OK):
            raise
        yield True
        return
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()


def no_locks(folder: Path) -> str:
    """Return what a user is told of a file system that grants no locks."""
    return (
        f"the file system of {where(folder)} grants no locks. See to it that no second mprd writes "
        "there."
    )


def take_lock(file: Path, *, shared: bool = False, wait: bool = False) -> FileLock | None:
    """Take a lock, at once or when it is free.

    Args:
        file: to lock; it is made where it is missing.
        shared: whoever has it in this thread has it again.
        wait: until nobody else has it.

    Returns:
        The lock; None where the file system grants no locks.

    Raises:
        Timeout: another process holds it.
        UserError: the file cannot be made or opened.
    """
    lock = FileLock(file, is_singleton=shared)
    try:
        lock.acquire(timeout=-1 if wait else 0)
        return lock
    except (NotImplementedError, OSError) as error:
        if file.is_symlink():
            raise UserError(
                f"{file} is a link. A lock must be a file: remove the link, and call this again."
            ) from None
        try:
            granted = grants_locks(file)
        except OSError as refused:
            raise cannot_write(file, refused) from error
        if not granted:
            return None
        if isinstance(error, OSError) and not isinstance(error, Timeout):
            raise cannot_write(file, error) from None
        raise


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
