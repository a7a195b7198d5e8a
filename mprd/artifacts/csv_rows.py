"""CSV files that people keep: what is no table is a sentence."""

import csv
import io
import os
from pathlib import Path

from mprd.errors import UserError

_LONGEST, _WIDEST = 2**16, 1000  # characters and cells of a first line


def csv_rows(path: Path) -> tuple[list[list[str]], str]:
    """Return the rows of a file, and its text.

    Raises:
        UserError: it is no UTF-8, or no table.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        return list(csv.reader(io.StringIO(text, newline=""))), text
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8.") from None
    except csv.Error as error:
        raise UserError(f"{path} is no table of texts: {error}.") from None


def for_pandas(path: Path) -> str:
    """Return a file as pandas is to be given it.

    A path that begins with `~` is below the home for pandas, and one with `http:` is an address.
    """
    return os.path.join(os.curdir, path)  # an absolute path as it is


def csv_header(path: Path) -> list[str]:
    """Return the cells of the first line; []: it is no line of a table."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            return next(csv.reader([file.readline(_LONGEST)]), [])
        except csv.Error:
            return []


def require_narrow(path: Path) -> None:
    """Refuse a table that is wider than any of ours: pandas would work on it for minutes.

    Raises:
        UserError: its first lines are too long.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        lines = [file.readline(_LONGEST + 1) for _ in range(2)]
    if any(len(line) > _LONGEST or line.count(",") > _WIDEST for line in lines):
        raise UserError(f"{path} is no table of texts: its first lines are too long.")
