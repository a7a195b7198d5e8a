"""Ctrl-C and SIGTERM: files in the making are removed, locks released, and a sentence says so."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SOON = 0.05  # seconds


class Stopped(BaseException):
    """A signal asked the process to end.

    Attributes:
        signal: which one.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)

    @property
    def exit_code(self) -> int:
        """As shells give it: 128 and the number of the signal."""
        return 128 + self.signal

    def __str__(self) -> str:  # noqa: D105
        cause = "Ctrl-C" if self.signal is signal.SIGINT else self.signal.name
        return f"stopped by {cause}; nothing is half-written, the same command goes on from here"


def behind(error: BaseException) -> Stopped | None:
    """Return the signal that an error comes from.

    Args:
        error: such as the SystemError of C code that a signal found returning a result.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, Stopped):
        cause = cause.__cause__ or cause.__context__
    return cause


@contextmanager
def beginning() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the process with a sentence, within a block of imports.

    An import cannot be left by an exception without a traceback, and nothing is in the making yet.
    """
    if threading.current_thread() is not threading.main_thread():  # of a program that imports this
        yield
        return
    usual = {number: signal.signal(number, _end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


@contextmanager
def listening() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise `Stopped` in the main thread, within the block.

    Behind it they end the process at once: nothing is left to be tidied, and an exception raised
    while the interpreter shuts down would be a traceback.
    """
    usual = sys.unraisablehook
    try:
        sys.unraisablehook = partial(_sent_again, usual)
        for number in _SIGNALS:
            signal.signal(number, _stop)
        yield
    finally:
        sys.unraisablehook = usual
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)


def _sent_again(usual: Callable[[Any], None], lost: Any) -> None:
    """Send a signal again that met code which cannot raise: a destructor, a callback of HDF5.

    Args:
        usual: what is called for other errors.
        lost: what was raised there.
    """
    stopped = behind(lost.exc_value)
    if stopped is None:
        usual(lost)
        return
    later = threading.Timer(_SOON, os.kill, (os.getpid(), stopped.signal))
    later.daemon = True
    later.start()


def _end(number: int, frame: FrameType | None) -> None:
    stopped = Stopped(number)
    os.write(2, f"mprd: {stopped}\n".encode())
    os._exit(stopped.exit_code)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Stopped(number)
