"""A process that does stage after stage: files are written behind the next stage, and what a stage
has read, written or built stays at hand.

Without a workbench nothing here has an effect: a stage writes and reads files. On one

- a file is written by another thread. Files appear in the order in which they were made, so whoever
  stops the process finds those of a run without a workbench. After a file that cannot be written no
  other one is, and the next stage ends with its error.
- a reader takes the content from memory, or waits until the file is there.
- what is costly to build (images on a device, networks) is kept until its inputs change.

A workbench belongs to the thread that opened it; what that thread hands over writes files as ever.
"""

import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

HELD_BYTES = 512 * 2**20  # contents of files in memory, of those being written too
_T = TypeVar("_T")
# Device, number, size and time of change: of another file by the same name one of them differs.
Identity = tuple[int, int, int, int]


def file_identity(path: Path) -> Identity | None:
    """Return what tells a file from another one that takes its place; None: there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass
class _Content:
    """What a file holds; `identity` is None while it is being written."""

    value: Any
    size: int
    identity: Identity | None


@dataclass
class _Kept:
    version: Hashable
    value: Any
    memory: Callable[[], int]


class _Workbench:
    """Of one thread; the functions of this module are its interface."""

    def __init__(self, *, behind: bool) -> None:
        self.behind, self.thread = behind, threading.get_ident()
        self._pool = ThreadPoolExecutor(1, "mprd-writer")
        self._error: BaseException | None = None
        self._writing: dict[Path, tuple[Future[Identity | None], ExitStack]] = {}
        self._contents: dict[Path, _Content] = {}  # the oldest first
        self.kept: dict[str, _Kept] = {}

    def write(
        self,
        path: Path,
        job: Callable[[], None],
        guard: AbstractContextManager[Any],
        content: tuple[Any, int] | None,
    ) -> None:
        """Have a job done behind all that came before it."""
        self.settle(path)
        lock = ExitStack()
        lock.enter_context(guard)
        self._contents.pop(path, None)
        if content is not None:
            self._make_room(content[1])
            self._contents[path] = _Content(*content, None)
        self._writing[path] = self._pool.submit(self._work, path, job), lock

    def _work(self, path: Path, job: Callable[[], None]) -> Identity | None:
        if self._error is not None:
            return None
        try:
            job()
        except BaseException as error:
            self._error = error
            return None
        return file_identity(path)

    def settle(self, path: Path | None = None) -> None:
        """Wait until a file, and those before it, are written; without a path until all are.

        Raises:
            Exception: of the first file that could not be written.
        """
        if path is None:
            waiting = list(self._writing.values())
        else:
            waiting = [self._writing[path]] if path in self._writing else []
        for future, _ in waiting:
            future.result()
        self._collect()

    def _collect(self) -> None:
        """Note which files have been written, and unlock them."""
        for path, (future, lock) in list(self._writing.items()):
            if not future.done():
                break
            lock.close()
            del self._writing[path]
            if path in self._contents:
                self._contents[path].identity = future.result()
        if self._error is not None:
            raise self._error

    def recall(self, path: Path) -> Any:
        self._collect()
        content = self._contents.get(path)
        if content is None:
            return None
        if path not in self._writing and content.identity != file_identity(path):
            del self._contents[path]
            return None
        return content.value

    def remember(self, path: Path, identity: Identity, value: Any, size: int) -> None:
        self._contents.pop(path, None)
        self._make_room(size)
        self._contents[path] = _Content(value, size, identity)

    def _make_room(self, size: int) -> None:
        """Forget contents, the oldest first, until another one fits in."""
        while self._held() + size > HELD_BYTES and self._contents:
            oldest = next(iter(self._contents))
            self.settle(oldest)
            self._contents.pop(oldest, None)

    def _held(self) -> int:
        return sum(content.size for content in self._contents.values())

    def resident(self) -> int:
        return self._held() + sum(one.memory() for one in self.kept.values())

    def give_way(self) -> None:
        self.settle()
        self._contents.clear()
        self.kept = {slot: one for slot, one in self.kept.items() if not one.memory()}

    def close(self, *, failed: bool) -> None:
        """Write what is left; with another error under way, ours is not raised."""
        self._pool.shutdown()
        for _, lock in self._writing.values():
            lock.close()
        if self._error is not None and not failed:
            raise self._error


_open: _Workbench | None = None


@contextmanager
def workbench(*, behind: bool) -> Iterator[None]:
    """Open a workbench for the stages of this thread; inside another one this has no effect.

    At the end all files are written, also where a stage failed or a signal came.

    Args:
        behind: write files behind the next stage; False where other processes wait for them.

    Raises:
        UserError: a file could not be written.
    """
    global _open
    if _open is not None:
        yield
        return
    _open = bench = _Workbench(behind=behind)
    try:
        yield
    except BaseException:
        bench.close(failed=True)
        raise
    else:
        bench.close(failed=False)
    finally:
        _open = None


def _mine() -> _Workbench | None:
    return _open if _open is not None and _open.thread == threading.get_ident() else None


def writes_behind(size: int) -> bool:
    """Tell whether a content of so many bytes would be written behind the next stage."""
    bench = _mine()
    return bench is not None and bench.behind and size <= HELD_BYTES


def write_behind(
    path: Path,
    job: Callable[[], None],
    guard: AbstractContextManager[Any],
    content: tuple[Any, int] | None = None,
) -> None:
    """Write a file behind the next stage; only where `writes_behind` says so.

    Args:
        path: the file.
        job: writes it, in another thread; what it reads must not change any more.
        guard: entered now, left when the file is written.
        content: what the file holds, for readers, and its bytes.

    Raises:
        Exception: a file before it could not be written.
    """
    bench = _mine()
    assert bench is not None
    bench.write(path.absolute(), job, guard, content)


def settle(path: Path | None = None) -> None:
    """Wait until a file, or all files, are written.

    Raises:
        Exception: one of them could not be written.
    """
    if bench := _mine():
        bench.settle(path and path.absolute())


def recall(path: Path) -> Any:
    """Return the content of a file that is at hand and still is what the file holds, or None."""
    bench = _mine()
    return bench and bench.recall(path.absolute())


def remember(path: Path, identity: Identity | None, value: Any, size: int) -> bool:
    """Keep the content of a file that was read; tell whether it is kept.

    Args:
        path: the file.
        identity: of the file before it was read.
        value: its content.
        size: bytes of it.
    """
    bench = _mine()
    if bench is None or identity is None or size > HELD_BYTES:
        return False
    bench.remember(path.absolute(), identity, value, size)
    return True


def keep(
    slot: str,
    version: Hashable,
    make: Callable[[], _T],
    memory: Callable[[_T], int] = lambda value: 0,
) -> _T:
    """Return what was made before for a slot, if its version is the same; else make it.

    Args:
        slot: what it is for; the value of another version is dropped first.
        version: all that the value depends on.
        make: makes it.
        memory: bytes of main memory that the value takes.
    """
    bench = _mine()
    if bench is None:
        return make()
    if slot not in bench.kept or bench.kept[slot].version != version:
        bench.kept.pop(slot, None)
        value = make()
        bench.kept[slot] = _Kept(version, value, lambda: memory(value))
    return bench.kept[slot].value


def resident() -> int:
    """Return the bytes of main memory that stay taken from stage to stage."""
    bench = _mine()
    return bench.resident() if bench else 0


def give_way() -> None:
    """Free them: a stage needs the memory. Stages that come later read and build anew."""
    if bench := _mine():
        bench.give_way()
