"""How many CPUs there are to use, and row blocks over a pool of threads."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_LEAST_ROWS = 256
_MOST_BLOCKS = 256


def worker_count(threads: int | None) -> int:
    """Return the number of threads to use: as asked, or every CPU this process may run on.

    Raises:
        ValueError: threads is below 1.
    """
    if threads is None:
        if hasattr(os, "sched_getaffinity"):  # missing on macOS and Windows
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if threads < 1:
        raise ValueError(f"threads is {threads}; it must be at least 1.")
    return threads


def map_blocks(
    function: Callable[[int, int], T], count: int, threads: int | None, block: int | None = None
) -> list[T]:
    """Call `function(start, stop)` for consecutive row blocks; return the results in row order.

    The threads are of use for kernels that release the GIL. The blocks do not depend on `threads`,
    hence neither does anything computed from them.

    Args:
        function: works on the rows start..stop-1 and touches no other row's output.
        count: number of rows.
        threads: worker threads; None: all CPUs.
        block: rows per call. None: at least 256, and at most 256 blocks, since a block may set up
            work space for N rows: with more blocks that would cost N^2.

    Raises:
        ValueError: threads is below 1.
    """
    block = block or max(_LEAST_ROWS, -(-count // _MOST_BLOCKS))
    starts = range(0, count, block)
    workers = min(worker_count(threads), len(starts))
    if workers <= 1:
        return [function(start, min(start + block, count)) for start in starts]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda start: function(start, min(start + block, count)), starts))
