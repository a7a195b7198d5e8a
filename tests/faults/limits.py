"""A limit on time and memory, within which a file of a stranger is refused."""

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from mprd.errors import UserError

SECONDS = 20  # of a machine that is busy; where nothing else runs it is below one
MEMORY = 300 * 2**20
SENTENCE_AT_MOST = 1000


@contextmanager
def bounded() -> Iterator[None]:
    """What is done in here takes some seconds at most, and little memory."""
    before, begin = resource.getrlimit(resource.RLIMIT_AS), time.monotonic()
    limit = psutil.Process().memory_info().vms + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.monotonic() - begin < SECONDS


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process may grow beyond so many bytes: like a full disk, for threads too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def refused(reader: Callable[[], object], path: Path) -> str:
    with bounded(), pytest.raises(UserError) as caught:
        reader()
    said = str(caught.value)
    assert path.name in said
    assert len(said) < SENTENCE_AT_MOST
    return said
