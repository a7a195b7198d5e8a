"""A fence around the folder of a data set: images outside of it are read only if allowed."""

import os
from collections.abc import Sequence
from pathlib import Path

from mprd.config import Config
from mprd.errors import UserError


def require_inside(root: Path, paths: Sequence[str], config: Config) -> None:
    """Check that no image lies outside of the folder of its data set, unless that is allowed.

    Args:
        root: the folder.
        paths: of the images, relative to it or absolute.
        config: `data.allow_outside` is read.

    Raises:
        UserError: one lies outside.
    """
    found = [] if config.data.allow_outside else [path for path in paths if _outside(path)]
    if found:
        raise UserError(
            f"'{found[0]}' lies outside of {root} ({len(found)} of {len(paths)} images do). If "
            "they are meant to be read, set data.allow_outside to true."
        )


def _outside(path: str) -> bool:
    """Tell whether a path relative to a folder leads out of it."""
    return os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir
