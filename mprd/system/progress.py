"""Progress of a long loop: a bar on a terminal, plain lines in a log."""

import sys
from collections.abc import Iterable
from typing import Any, TextIO

from tqdm import tqdm

_EVERY = 10.0  # seconds between two lines of a log
_LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left{postfix}"


class _Lines:
    """A stream on which each state of a bar is a line of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write a state, without what would move a cursor."""
        line = text.replace("\r", "").strip()
        if line:
            self._stream.write(f"{line}\n")

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()


def progress(
    items: Iterable[Any] | None = None, *, total: int | None = None, desc: str, unit: str
) -> "tqdm[Any]":
    """Return a progress bar over items, on the standard error.

    Args:
        items: what to go through; None: it is moved by `update`.
        total: their number, where it cannot be asked.
        desc: what is done.
        unit: singular of what is counted.
    """
    options: dict[str, Any] = {"mininterval": 0.5}
    if not sys.stderr.isatty():
        options = {"mininterval": _EVERY, "bar_format": _LINE, "file": _Lines(sys.stderr)}
    return tqdm(items, total=total, desc=desc, unit=unit, **options)
