"""A digest of what lies in the folder of a data set, for noticing that it changed."""

import hashlib
import os
from pathlib import Path

from mprd.config import Config
from mprd.data.datasets.base import is_litter
from mprd.data.datasets.registry import find_root, load_reader
from mprd.errors import UserError


def fingerprint(name: str, data_dir: Path, reader: Path | None = None) -> str:
    """Return a digest of the path, size and modification time of every file of a data set.

    Nothing is opened. A manifest stands for itself: files that it lists are not looked at. Hidden
    files do not count.

    Args:
        name: a data set name as users write it.
        data_dir: the folder of all data sets, or the folder of this one.
        reader: the user's own file that registers the data set.

    Returns:
        16 hexadecimal digits; "" if there is no such data set: the reader says what is wrong.
    """
    try:
        if reader is not None:
            load_reader(reader)
        root = find_root(name, data_dir)
    except UserError:
        return ""
    files = _files(root) if root.is_dir() else [_facts(root.name, root.stat())]
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()[:16]


def data_fingerprint(config: Config) -> str:
    """Return the `fingerprint` of a config's data set."""
    return fingerprint(config.data.dataset, config.data.root, config.data.reader)


def _files(root: Path) -> list[str]:
    found, waiting = [], [str(root)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file():
                    found.append(_facts(os.path.relpath(entry.path, root), entry.stat()))
    return found


def _facts(path: str, status: os.stat_result) -> str:
    return f"{path!r} {status.st_size} {status.st_mtime_ns}"
