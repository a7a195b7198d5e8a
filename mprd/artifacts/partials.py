"""Files in the making: their names tell who writes them, so that those of killed writers can go."""

import os
import re
import shutil
import socket
import time
import zlib
from pathlib import Path

_NAME = re.compile(r"\..+\.(?:(?P<host>[0-9a-f]{8})-)?(?P<process>\d+)\.partial")
_DAY = 86_400.0  # seconds without a change after which a writer on another machine is gone


def partial_path(path: Path) -> Path:
    """Return the name under which this process writes a file before it renames it."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}.partial")


def remove_partials(folder: Path, pattern: str = "**/.*.partial") -> None:
    """Remove what killed writers left in a folder of results, never what a process still writes.

    A writer on this machine is gone if its process is, or if a younger one has its number. A writer
    on another machine cannot be seen: what it left goes after a day without a change.

    Args:
        folder: such as that of a run, or of what runs share; it need not be there.
        pattern: of files, or folders, in the making.
    """
    for path in folder.glob(pattern):
        if (found := _NAME.fullmatch(path.name)) and _is_left(path, found):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _is_left(path: Path, name: re.Match[str]) -> bool:
    """Tell whether nobody writes a file any more."""
    import psutil

    try:
        changed = path.lstat().st_mtime
    except FileNotFoundError:
        return False
    if name["host"] != _host():
        return time.time() - changed > _DAY
    try:
        return psutil.Process(int(name["process"])).create_time() > changed + 1
    except (psutil.NoSuchProcess, OverflowError):
        return True


def _host() -> str:
    """Return eight characters that stand for this machine."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"
