"""Every file below a folder, and what cannot be listed."""

import os
from dataclasses import dataclass
from pathlib import Path

from mprd.data.datasets.base import is_litter
from mprd.errors import is_utf8

_CONTENT_OF_RUN = ("provenance", "config.yaml")


@dataclass(frozen=True)
class Tree:
    """What lies below a folder; hidden files and litter do not count.

    Attributes:
        files: paths relative to the folder, sorted by folder and name.
        links: folders that are links; they are not followed.
        runs: folders of results of mprd; nothing in them is listed.
        unlisted: folder or file -> why it cannot be listed.
    """

    files: tuple[str, ...]
    links: tuple[str, ...]
    runs: tuple[str, ...]
    unlisted: dict[str, str]


def walk(root: Path) -> Tree:
    """List a folder."""
    files: list[str] = []
    links: list[str] = []
    runs: list[str] = []
    unlisted: dict[str, str] = {}

    def below(path: str) -> str:
        return os.path.relpath(path, root)

    def refused(error: OSError) -> None:
        unlisted[below(error.filename)] = error.strerror or type(error).__name__

    for parent, folders, names in os.walk(root, onerror=refused):
        if parent != str(root) and all(
            os.path.exists(f"{parent}/{one}") for one in _CONTENT_OF_RUN
        ):
            runs.append(below(parent))
            folders.clear()
            continue
        links += [
            below(f"{parent}/{name}") for name in folders if os.path.islink(f"{parent}/{name}")
        ]
        folders[:] = sorted(name for name in folders if not is_litter(name))
        for name in sorted(name for name in names if not is_litter(name)):
            path = below(f"{parent}/{name}")
            if is_utf8(path):
                files.append(path)
            else:
                unlisted[os.fsencode(path).decode(errors="backslashreplace")] = (
                    "its name is not UTF-8: rename it, for example with convmv"
                )
    return Tree(tuple(files), tuple(links), tuple(runs), unlisted)
