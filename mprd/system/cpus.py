"""How many CPUs there are to use."""

import os


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
