"""A digest of what lies in the folder of a data set, for noticing that it changed."""

import hashlib
from pathlib import Path

from mprd.config import Config
from mprd.data.datasets.folder import is_image
from mprd.data.datasets.registry import canonical_name, find_root, load_reader
from mprd.data.datasets.walk import walk
from mprd.errors import UserError


def fingerprint(name: str, data_dir: Path, reader: Path | None = None) -> str:
    """Return a digest of the path, size and modification time of every file of a data set.

    Nothing is opened. A manifest stands for itself: files that it lists are not looked at. Hidden
    files and results of mprd do not count, in a folder of own images only images do. A folder that
    cannot be listed counts by its name and the reason.

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
    own = canonical_name(name) == "folder"
    files = _files(root, own=own) if root.is_dir() else [_facts(root.name, root)]
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()[:16]


def data_fingerprint(config: Config) -> str:
    """Return the `fingerprint` of a config's data set."""
    return fingerprint(config.data.dataset, config.data.root, config.data.reader)


def _files(root: Path, *, own: bool) -> list[str]:
    tree = walk(root)
    found = [_facts(path, root / path) for path in tree.files if is_image(path) or not own]
    return [*found, *(f"{path!r}: {why}" for path, why in tree.unlisted.items())]


def _facts(name: str, path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:  # a link to nothing, or gone meanwhile
        return f"{name!r}: {error.strerror}"
    return f"{name!r} {status.st_size} {status.st_mtime_ns}"
