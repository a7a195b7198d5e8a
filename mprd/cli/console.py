"""What `mprd run` shows: the lines of the stages, and below them what the newest log says."""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
from rich.console import Console
from rich.text import Text

from mprd.artifacts.workbench import Identity, file_identity
from mprd.cli.interrupts import Stopped
from mprd.errors import visible
from mprd.pipeline.workflow import SNAKEMAKE_FAILED

_LOOK_EVERY = 0.5  # seconds
_GRACE = 3.0  # seconds in which a signal to a whole group of processes ends them
_ERROR, _CRASH = "mprd: error:", "Traceback (most recent call last)"


def relay(command: list[str], logs: list[Path], look: Callable[[], None]) -> int:
    """Run a command and show what it prints; on a terminal also the progress in its logs.

    Args:
        command: a child process; when a signal ends this one, it and all below it end, too.
        logs: folders that it writes logs into.
        look: called every half a second, and at the end, unless a signal comes.

    Returns:
        Its exit status.
    """
    seen = sys.stdout.isatty()
    output, errors = (subprocess.PIPE, subprocess.STDOUT) if seen else (None, None)
    # A pipe for its input, which stays empty: it ends when this process does, however that ends.
    child = subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=output, stderr=errors
    )
    try:
        if seen:
            _show(child, logs, look)
        else:
            _wait(child, look)
        status = child.wait()
    except Stopped as stopped:  # maybe in a look, or in its imports, which have no second time
        _end(child, stopped)
        raise
    if status == -signal.SIGPIPE:  # as `main` ends where nobody reads any more
        raise Stopped(signal.SIGPIPE)
    look()
    return status


def _end(child: subprocess.Popen, stopped: Stopped) -> None:
    """Wait for a child that is to end; tell it, and the stages below it, where nobody else does.

    A terminal sends Ctrl-C to all of them. A second one while Snakemake cancels its jobs would
    stop that.
    """
    signalled = stopped.signal is signal.SIGINT
    while True:
        try:
            if not signalled:
                _interrupt(child)
            child.wait(_GRACE if signalled and not _in_foreground() else None)
            return
        except subprocess.TimeoutExpired:  # the signal was for this process alone
            signalled = False
        except Stopped as again:
            signalled = again.signal is signal.SIGINT and _in_foreground()


def _interrupt(child: subprocess.Popen) -> None:
    """Do what Ctrl-C does; Snakemake alone would wait for its running stages."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(child.pid)
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                one.send_signal(signal.SIGINT)


def _in_foreground() -> bool:
    """Tell whether a terminal's Ctrl-C comes to the group of this process."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def _wait(child: subprocess.Popen, look: Callable[[], None]) -> None:
    while True:
        try:
            child.wait(_LOOK_EVERY)
            return
        except subprocess.TimeoutExpired:
            if _unread():  # Snakemake, whose messages find no reader, would wait for ever
                raise Stopped(signal.SIGPIPE) from None
            look()


def _unread() -> bool:
    """Tell whether output goes into a pipe that nobody reads any more, as behind `| head -1`."""
    poll = select.poll()
    for descriptor in (1, 2):
        poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _show(child: subprocess.Popen, logs: list[Path], look: Callable[[], None]) -> None:
    """Print what a child prints; below it the newest log's last line."""
    console = Console(highlight=False)
    ended = threading.Event()
    with console.status("starting") as status:

        def watch() -> None:
            while not ended.wait(_LOOK_EVERY):
                status.update(Text(visible(last_line(logs) or "working")))
                look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            for line in child.stdout or ():
                console.print(Text(visible(line.rstrip("\n"))), soft_wrap=True)
        finally:
            ended.set()
            watcher.join()


def log_states(places: list[Path]) -> dict[Path, Identity | None]:
    """Return the logs in some places, each with what tells it from one written anew.

    It is no time: those of files are coarser than the clock, and a file server has its own.

    Args:
        places: logs, or folders of them, nested or not.
    """
    logs = {path for place in places for path in (place, *place.rglob("*.log")) if path.is_file()}
    return {path: file_identity(path) for path in sorted(logs)}


def begun(places: list[Path], before: Mapping[Path, Identity | None]) -> list[Path]:
    """Return the logs of the stages that have begun.

    Args:
        places: as `log_states`.
        before: what `log_states` said earlier; logs that are still the same are passed over.
    """
    return [path for path, state in log_states(places).items() if before.get(path) != state]


def failures(places: list[Path], before: Mapping[Path, Identity | None]) -> list[str]:
    """Return what the stages that failed said, with the logs; arguments as `begun`.

    What is no mistake of the user comes first: it is a traceback, and a sentence is best read last.
    """
    found = []
    for path in begun(places, before):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        said = [n for n, line in enumerate(lines) if line.startswith((_ERROR, _CRASH))]
        if said:
            found.append("\n".join([f"({path})", *lines[said[-1] :]]))
    return sorted(found, key=is_mistake)


def is_mistake(words: str) -> bool:
    """Tell whether a stage that failed told of a mistake of the user, by what `failures` gives."""
    return _CRASH not in words and SNAKEMAKE_FAILED not in words


def last_line(folders: list[Path]) -> str:
    """Return job and last line of the newest log, as far as it says something; "" else.

    Args:
        folders: where logs are, nested or not.
    """
    logs = [(path, folder) for folder in folders for path in folder.rglob("*.log")]
    if not logs:
        return ""
    newest, folder = max(logs, key=lambda log: _changed(log[0]))
    job = newest.relative_to(folder).with_suffix("").as_posix()
    try:
        with newest.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 1000))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except FileNotFoundError:  # Snakemake removes logs of jobs that it starts again
        return ""
    return f"{job}: {lines[-1]}" if lines else job


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
