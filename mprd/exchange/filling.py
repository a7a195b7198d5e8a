"""A folder of results that is filled whole, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mprd.artifacts.places import make_folder
from mprd.errors import UserError

_UNFINISHED = ".unfinished"


@contextmanager
def filling(out: Path) -> Iterator[Path]:
    """Yield an empty folder whose content is moved to `out` at the end; after an error nothing is.

    It lies in `out`, which may be the root of a disk. Of two that fill one folder, one is refused.

    Raises:
        UserError: `out` is no empty folder, or cannot be written to.
    """
    made = not os.path.lexists(out)
    if not made and out.exists():
        _require_empty(out)
    make_folder(out)
    inside = out / _UNFINISHED
    moved: list[Path] = []
    try:
        inside.mkdir()
    except FileExistsError:
        raise _in_use(out) from None
    try:
        if len(os.listdir(out)) > 1:  # another one was quicker
            raise _in_use(out)
        yield inside
        for path in sorted(inside.iterdir()):
            moved.append(path.rename(out / path.name))
    except BaseException:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        moved.clear()
        raise
    finally:
        shutil.rmtree(inside, ignore_errors=True)
        if made and not moved:
            with suppress(OSError):  # somebody put something there
                out.rmdir()


def _require_empty(out: Path) -> None:
    if not out.is_dir() or any(out.iterdir()):
        raise UserError(f"{out} exists and is not empty. Name another folder with --out.")


def _in_use(out: Path) -> UserError:
    return UserError(f"Another process writes into {out}. Name another folder with --out.")
