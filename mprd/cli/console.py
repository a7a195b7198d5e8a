"""What `mprd run` shows: the lines of the stages, and below them what the newest log says."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from rich.console import Console

_LOOK_EVERY = 0.5  # seconds


def relay(command: list[str], logs: list[Path]) -> int:
    """Run a command and show what it prints; on a terminal also the progress in its logs.

    Args:
        command: a child process; it gets interrupts (Ctrl-C) from the terminal itself.
        logs: folders that it writes logs into.

    Returns:
        Its exit status.
    """
    if not sys.stdout.isatty():
        return subprocess.run(command, check=False).returncode
    console = Console(highlight=False)
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ended = threading.Event()
    with console.status("starting") as status:

        def look() -> None:
            while not ended.wait(_LOOK_EVERY):
                status.update(last_line(logs) or "working")

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            for line in child.stdout or ():
                console.print(line.rstrip("\n"), markup=False, soft_wrap=True)
            return child.wait()
        except KeyboardInterrupt:
            return child.wait()  # Snakemake has the interrupt, too, and stops its jobs
        finally:
            ended.set()
            watcher.join()


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
    with newest.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 1000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return f"{job}: {lines[-1]}" if lines else job


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # Snakemake removes logs of jobs that it starts again
        return 0
