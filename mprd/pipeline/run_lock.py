"""One workflow at a time works on a run: a lock in its results folder, for its whole life."""

import json
import os
import socket
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from filelock import Timeout

from mprd.artifacts.locks import take_lock
from mprd.artifacts.places import cannot_write, require_writable
from mprd.errors import UserError, say
from mprd.pipeline.layout import RunLayout

_RUNNING = ".running.lock"
_held: dict[Path, "RunLock"] = {}


class RunLock:
    """The lock of one run. The system releases it when the process ends, however it ends."""

    def __init__(self, run: RunLayout) -> None:
        """Take the lock.

        Args:
            run: layout of the run; its folder is made.

        Raises:
            UserError: another workflow works on the run; says who, since when, and what to do. Or
                its folder cannot be written to.
        """
        require_writable(run.folder)
        self._holder, self._process = _holder(run), os.getpid()
        try:
            self._lock = take_lock(lock_file(run))
        except Timeout:
            raise UserError(_busy(run, self._holder)) from None
        if self._lock is None:
            say(f"note: {run.folder} grants no locks. Start no second run there.")
            return
        try:
            self._holder.write_text(json.dumps(_myself()), encoding="utf-8")
        except OSError as error:
            self.release()
            raise cannot_write(self._holder, error) from error

    def release(self) -> None:
        """Give the lock back; a child of the process that took it does not."""
        if self._lock is not None and self._process == os.getpid():
            self._holder.unlink(missing_ok=True)
            self._lock.release()


def lock_file(run: RunLayout) -> Path:
    """Return the file that is locked; it stays where a workflow has worked on a run."""
    return run.folder / _RUNNING


def hold_runs(runs: Iterable[RunLayout]) -> None:
    """Take the locks of some runs and hold them until `release_runs`, or until the process ends.

    Those that this process holds already are passed over.

    Raises:
        UserError: another workflow works on one of them; none is held then.
    """
    try:
        for run in runs:
            if run.folder not in _held:
                _held[run.folder] = RunLock(run)
    except UserError:
        release_runs()
        raise


def require_free(runs: Iterable[RunLayout]) -> None:
    """Check that no other workflow works on some runs, as far as they have begun.

    Raises:
        UserError: another one does; says who, since when, and what to do.
    """
    for run in runs:
        if os.path.lexists(run.folder):
            RunLock(run).release()


def is_running(run: RunLayout) -> bool:
    """Tell whether a workflow works on a run; False where there are no locks to tell."""
    if not _holder(run).is_file():  # a killed workflow leaves it, and no lock
        return False
    try:
        lock = take_lock(lock_file(run))
    except Timeout:
        return True
    except UserError:  # the results are another user's
        return False
    if lock is not None:
        lock.release()
    return False


def remove_idle_locks(folder: Path, pattern: str = "**/.*.lock") -> None:
    """Remove the lock files of results in a folder that no process holds.

    Results appear whole, by a rename. So a process that takes such a lock at this very moment does
    at worst the same work as another one. The locks of runs stay.

    Args:
        folder: such as that of a run, or of what runs share; it need not be there.
        pattern: of the lock files.
    """
    for path in folder.glob(pattern):
        if path.name == _RUNNING:
            continue
        try:
            lock = take_lock(path)
        except (Timeout, UserError):  # it is held, or another user's
            continue
        if lock is not None:
            path.unlink(missing_ok=True)
            lock.release()


def release_runs() -> None:
    """Give back all locks that `hold_runs` took."""
    while _held:
        _held.popitem()[1].release()


def _holder(run: RunLayout) -> Path:
    """Return the file that says who holds the lock."""
    return run.folder / ".running.json"


def _myself() -> dict[str, str | int]:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": since}


def _busy(run: RunLayout, holder: Path) -> str:
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
        words = f"process {who['pid']} on {who['host']}, since {who['since']}"
        end = f"Wait for it, or end it there with: kill {who['pid']}"
    except (OSError, ValueError, KeyError, TypeError):  # it is about to write its name
        words, end = "another process", "Wait for it, or end it"
    return f"{run.folder} is in use: a workflow works there ({words}). {end}. Nothing was changed."
