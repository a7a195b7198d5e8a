"""The command line: what people use, and one sub-command per stage.

Heavy imports happen inside the commands, so that `mprd --help` and light stages start fast.
"""

import atexit
import gc
import os
import sys

# Waiting OpenMP threads sleep instead of spinning: two torch processes on the same cores would slow
# each other many times. Read when the library is loaded, so it stands before all imports; a user's
# own values stay.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

# Each adds its commands, in this order.
from mprd.cli import own, look, use, features, tools, stages  # isort: skip # noqa: F401
from mprd.cli.app import app
from mprd.cli.interrupts import Stopped, listening
from mprd.errors import UserError

# A small stage is mostly the start and end of its process. Libraries make many objects at
# import and few in cycles: the collector looks at them seldom, and not again at the end.
gc.set_threshold(50_000)
atexit.register(gc.freeze)


def main() -> None:
    """Run the command line; a user's mistake ends with one sentence and exit code 2."""
    try:
        with listening():
            app()
    except UserError as error:
        print(f"mprd: error: {error}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        on_gpu = type(error).__name__ == "OutOfMemoryError"  # of torch, which may not be loaded
        if not (on_gpu or isinstance(error, MemoryError)):
            raise
        print(f"mprd: error: {_out_of_memory(error, on_gpu=on_gpu)}", file=sys.stderr)
        sys.exit(2)
    except Stopped as stopped:
        print(f"mprd: {stopped}", file=sys.stderr)
        sys.exit(stopped.exit_code)


def _out_of_memory(error: BaseException, *, on_gpu: bool) -> str:
    """Return a sentence: which memory, and which settings need less of it."""
    details = str(error).splitlines() or ["no details"]
    return (
        f"{'the memory of the GPU' if on_gpu else 'memory'} is too small ({details[0]}). Set a "
        "smaller batch (train.identities x train.instances), data.height or data.width, or "
        "another device; docs/memory.md has the formulas."
    )
