"""Row blocks over a thread pool, for numba kernels that release the GIL."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from mprd.system.cpus import worker_count

T = TypeVar("T")

_LEAST_ROWS = 256
_MOST_BLOCKS = 256


def map_blocks(
    function: Callable[[int, int], T], count: int, threads: int | None, block: int | None = None
) -> list[T]:
    """Call `function(start, stop)` for consecutive row blocks; return the results in row order.

    The blocks do not depend on `threads`, hence neither does anything computed from them.

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
