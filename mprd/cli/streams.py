"""The standard streams of a process, whatever surroundings it is started in."""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mprd.cli.interrupts import Stopped
from mprd.errors import say

_STREAMS = ("stdin", "stdout", "stderr")


def provide_streams() -> None:
    """Open those of the three streams that are closed, and let them show any name.

    Else a file of ours would take the number of a closed one, and what libraries print would go
    into it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < len(_STREAMS):
        os.set_inheritable(number, True)
    os.close(number)
    for number, name in enumerate(_STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names may hold what a terminal cannot show
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def reader_may_go() -> Iterator[None]:
    """Let a command end quietly where the reader of its output goes, as behind `| head -1`.

    Click and rich would end it with code 1, like one that failed.

    Raises:
        Stopped: by SIGPIPE.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except (SystemExit, BrokenPipeError) as error:
        if isinstance(error, BrokenPipeError) or isinstance(error.__context__, BrokenPipeError):
            raise Stopped(signal.SIGPIPE) from None
        raise


def say_last(*lines: str) -> None:
    """Print last words as an error; the exit code has to do where they cannot be written."""
    with suppress(OSError):
        say(*lines, file=sys.stderr, flush=True)
