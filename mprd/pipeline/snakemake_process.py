"""`python -m mprd.pipeline.snakemake_process`: Snakemake, which ends with `mprd run`.

`mprd run` starts it, and says what there is to say. Ctrl-C ends it without a traceback. If `mprd
run` is killed, it ends itself and its stages, so that the locks are free.
"""

import os
import signal
import sys
import threading
import time
from contextlib import suppress

_GRACE, _PATIENCE = 3.0, 30.0  # seconds that stages and Snakemake have to tidy up


def main() -> None:
    """Run Snakemake with the arguments of this process.

    Standard input is a pipe of `mprd run`. It stays empty, and ends with that process.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while it is imported nothing is to be tidied
    caller, nothing = os.dup(sys.stdin.fileno()), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, sys.stdin.fileno())  # what stages inherit
    os.close(nothing)
    alone, ended = threading.Event(), threading.Event()
    watcher = threading.Thread(target=_end_with, args=(caller, alone, ended), daemon=True)
    watcher.start()
    from snakemake.cli import main as snakemake

    if {"-n", "--dry-run"} & {*sys.argv}:  # nothing runs: behind `| head -1` it may end at once
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        snakemake()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if alone.is_set():
            ended.wait()


def _end_with(caller: int, alone: threading.Event, ended: threading.Event) -> None:
    """Wait until the process at the other end of a pipe is gone, and end all that is left.

    Snakemake gets what Ctrl-C gives, so that it cancels jobs on a cluster. What is not done in
    time is killed: files appear whole, or not at all.

    Args:
        caller: descriptor of the pipe.
        alone: is set when the other process is gone.
        ended: is set when the stages are gone, too.
    """
    import psutil

    os.read(caller, 1)
    alone.set()
    myself = psutil.Process()
    stages = myself.children(recursive=True)
    os.kill(myself.pid, signal.SIGINT)
    for stage in stages:
        with suppress(psutil.NoSuchProcess):
            stage.terminate()
    psutil.wait_procs(stages, _GRACE)
    for stage in {*stages, *myself.children(recursive=True)}:
        with suppress(psutil.NoSuchProcess):
            stage.kill()
    ended.set()
    time.sleep(_PATIENCE)
    os._exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    main()
