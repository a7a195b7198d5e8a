"""The command line: what people use, and one sub-command per stage.

Heavy imports happen inside the commands, so that `mprd --help` and light stages start fast.
"""

import atexit
import gc
import os
import signal
import sys
from pathlib import Path

# Waiting OpenMP threads sleep instead of spinning: two torch processes on the same cores would slow
# each other many times. Read when the library is loaded, so it stands before all imports; a user's
# own values stay.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

from mprd.cli.interrupts import Stopped, beginning, behind, listening  # isort: skip

with beginning():
    # Each adds its commands, in this order.
    from mprd.cli import run, own, judge, decisions, browse, add, exchange  # isort: skip # noqa: F401
    from mprd.cli import look, use, search, features, tools, stages  # isort: skip # noqa: F401
    from mprd.cli.app import app
    from mprd.cli.streams import provide_streams, reader_may_go, say_last
    from mprd.errors import UserError, lack_of_memory, obstacle

# Stages give advice of their own.
_ADVICE = (
    "Take a machine with more memory or, if the GPU lacks it, --device cpu; docs/memory.md has the "
    "formulas."
)

# A small stage is mostly the start and end of its process. Libraries make many objects at
# import and few in cycles: the collector looks at them seldom, and not again at the end.
gc.set_threshold(50_000)
atexit.register(gc.freeze)


def main() -> None:
    """Run the command line; a user's mistake ends with one sentence and exit code 2."""
    provide_streams()
    try:
        with listening(), reader_may_go():
            _require_here()
            app()
    except UserError as error:
        say_last(*f"mprd: error: {error}".split("\n"))
        sys.exit(2)
    except (MemoryError, ImportError, RuntimeError, OSError, UnicodeError) as error:
        lack = lack_of_memory(error)
        words = f"{lack.words} {_ADVICE}" if lack else obstacle(error)
        if not words:
            raise
        say_last(f"mprd: error: {words}")
        sys.exit(2)
    except (Stopped, SystemError) as error:
        stopped = behind(error)
        if stopped is None:
            raise
        if stopped.signal is signal.SIGPIPE:  # nobody reads what could be said
            os._exit(stopped.exit_code)
        say_last(f"mprd: {stopped}")
        sys.exit(stopped.exit_code)


def _require_here() -> None:
    """Check that the current folder is there: paths of all kinds start from it."""
    try:
        Path.cwd()
    except FileNotFoundError:
        raise UserError("The current folder was deleted. Go to another one with `cd`.") from None
