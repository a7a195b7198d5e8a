"""Where libraries keep what they compile or download, for users who have no such place.

numba, which compiles the kernels, and Snakemake give up where neither the package nor the home of a
user can be written to: in a container, say, with a number for a user and no home.
"""

import os
import tempfile
from pathlib import Path

_VARIABLE = "XDG_CACHE_HOME"
_USERS = ("numba", "snakemake")  # folders below it


def provide_caches() -> None:
    """Name a temporary folder as the place of caches where the user's own cannot be written to."""
    home = Path(os.environ.get(_VARIABLE) or os.path.expanduser("~/.cache"))
    if all(_can_write(home / name) for name in _USERS):
        return
    try:
        folder = str(_own_folder())
    except OSError:  # no temporary folder either: whoever needs one says so
        return
    os.environ[_VARIABLE] = folder
    if not home.is_absolute():  # a user whom no list names: libraries look for settings there
        os.environ["HOME"] = folder


def _can_write(folder: Path) -> bool:
    """Tell whether a folder can be written to, or made."""
    if not folder.is_absolute():  # of a user without a home
        return False
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _own_folder() -> Path:
    """Return a folder that nobody else can put anything into: caches hold code."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"mprd-cache-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != user or found.st_mode & 0o022:
        return Path(tempfile.mkdtemp(prefix="mprd-cache-"))
    return folder
