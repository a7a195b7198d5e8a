"""Folders to write into, and what a user is told where that is impossible."""

import os
import shutil
import tempfile
from pathlib import Path

from mprd.errors import UserError, broken_link, is_full, remedy

_BLOCK = 4096  # bytes
_ANOTHER = "Name another folder."


def make_folder(folder: Path) -> None:
    """Make a folder where it is missing, and those above it.

    Raises:
        UserError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        why = broken_link(folder) or "a file has its name, or that of a folder above it"
        raise _cannot_write_into(folder, why, _ANOTHER) from error
    except FileNotFoundError as error:  # the system makes no folders there (/proc)
        raise _cannot_write_into(folder, reason(error), _ANOTHER) from error
    except OSError as error:
        raise _cannot_write_into(folder, reason(error), remedy(error)) from error


def require_writable(folder: Path) -> None:
    """Check that files can be written into a folder; it is made where it is missing.

    Raises:
        UserError: they cannot.
    """
    make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_BLOCK))  # a full disk still makes empty files
            file.flush()
    except OSError as error:
        raise _cannot_write_into(folder, reason(error), remedy(error)) from error


def _cannot_write_into(folder: Path, why: str, what_helps: str) -> UserError:
    return UserError(f"Cannot write into {where(folder)}: {why}. {what_helps}")


def cannot_write(path: Path, error: OSError) -> UserError:
    """Return what a user is told of a file that cannot be written."""
    full = f" ({free(path)} are free)" if is_full(error) else ""
    return UserError(f"Cannot write {path}: {reason(error)}{full}. {remedy(error)}")


def where(folder: Path) -> str:
    """Return a folder in words: the current one has a name of its own."""
    return "the current folder" if folder == Path() else str(folder)


def reason(error: OSError) -> str:
    """Return what the system says of an error, without the name of the file."""
    return os.strerror(error.errno) if error.errno else str(error)


def free(path: Path) -> str:
    """Return the space that is free beside a file, in words."""
    return f"{shutil.disk_usage(path.parent).free / 2**20:,.0f} MiB"
