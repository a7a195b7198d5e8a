"""A table of images, CSV or Parquet; its columns are `COLUMNS`, `path` among them."""

import codecs
import csv
import itertools
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mprd.artifacts.csv_rows import for_pandas
from mprd.data.datasets import clock
from mprd.data.datasets.base import (
    SPLITS,
    ImageRecord,
    Listing,
    Split,
    TimeUnit,
    known_side,
    numbered,
)
from mprd.errors import UserError, did_you_mean, many

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("path", "split", "identity", "camera", "time", "frame", "track", "side")
COLUMN_TEXT = "path[,split][,identity][,camera][,time or frame][,track][,side]"
_UNKNOWN = ("", "-1", "-1.0")
_NOTHING = ("nan", "na", "n/a", "none", "null")  # as other programs write an empty cell
_WHOLE = re.compile(r"(\d+)(\.0+)?")  # a column with gaps often holds 3.0 for 3
_LARGEST = 2**31 - 1
_WIDEST, _LONGEST = 100, 2**16  # columns, and characters of the header and of the first row
_FOOTER = 2**22  # bytes in which a Parquet file describes its columns


def read_manifest(path: Path) -> Listing:
    """List the images of a manifest; their paths are relative to its folder.

    Without a split column every image is a train image. An empty cell or -1 is an unknown
    identity or camera. Whole numbers stay as identities; other identities are numbered in sorted
    order, and so are cameras; the names of both are kept. `time` holds dates (ISO 8601) or seconds,
    `frame` numbers of frames, `track` names of tracks, `side` names of sides; empty or -1 is
    unknown.

    Raises:
        UserError: the file cannot be read or holds no rows; a column or split is unknown; an
            image does not exist; a time cannot be read.
    """
    table = _read_table(path)
    paths, notes = _image_paths(path, table)
    splits: list[Split] = ["train"] * len(table)
    if "split" in table:
        splits = [_split(path, row, cell) for row, cell in table["split"].items()]
    for column in [name for name in COLUMNS[2:] if name in table]:
        empty = table[column].str.lower().isin(_NOTHING)
        if empty.any():
            first = table[column][empty].iloc[0]
            notes.append(f"{empty.sum()} cells '{first}' of {column} are taken as unknown.")
            table.loc[empty, column] = ""
    identities, people = _identities(table.get("identity"), len(table))
    cameras, names = _cameras(table.get("camera"), len(table))
    times, unit = _times(path, table)
    tracks = _known(table["track"]) if "track" in table else [""] * len(table)
    sides = _known(table["side"]) if "side" in table else [""] * len(table)
    sides = list(map(known_side, sides))
    fields = zip(paths, splits, identities, cameras, times, tracks, sides, strict=True)
    records = tuple(ImageRecord(*values) for values in fields)
    return Listing(path.parent, records, tuple(notes), names, people, unit)


def _read_table(path: Path) -> "pd.DataFrame":
    """Return the cells as stripped text, "" where empty, indexed by row number in the file."""
    import pandas as pd

    kind = path.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise UserError(f"{path} is no folder of images and no manifest: use .csv or .parquet.")
    try:
        if kind == ".csv":
            _check_head(path)
            table = pd.read_csv(
                for_pandas(path),
                dtype=str,
                keep_default_na=False,
                skip_blank_lines=False,
                encoding=_encoding(path),
            )
            if not isinstance(table.index, pd.RangeIndex):
                raise ValueError("its rows have more cells than its header")
        else:
            _check_footer(path)
            table = pd.read_parquet(for_pandas(path))
    except ImportError as error:
        raise UserError(
            f"Reading {path} needs pyarrow: run `pip install pyarrow`, or save it as .csv."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"The manifest {path} is not UTF-8 (byte {error.start} is not). Save it as UTF-8."
        ) from None
    except (ValueError, OSError) as error:
        raise UserError(f"The manifest {path} cannot be read: {str(error).strip()}.") from error
    _check_columns(path, table)
    table = table.map(lambda cell: "" if pd.isna(cell) else str(cell))
    names = table["path"]
    table = table.map(str.strip)
    for row, cell in names[names != table["path"]].items():
        if os.path.isfile(path.parent / cell):  # spaces that belong to the name of a file
            table.loc[row, "path"] = cell
    table.index = pd.RangeIndex(len(table)) + (2 if kind == ".csv" else 1)  # a header is row 1
    table = table[(table != "").any(axis=1)]
    if table.empty:
        raise UserError(f"The manifest {path} holds no rows: give it one row per image.")
    return table


def _check_head(path: Path) -> None:
    """Refuse a table of more columns than any manifest has; pandas would work on it for ever.

    Raises:
        ValueError: it has too many, or its first two rows are longer than those of any manifest.
    """
    with path.open(encoding=_encoding(path), newline="") as file:
        rows = csv.reader(_pieces(file))
        try:
            widths = [len(row) for row in itertools.islice(rows, 2)]
        except csv.Error as error:
            raise ValueError(str(error)) from None
    if widths[:1] == [0]:
        raise ValueError("its first line is empty: it names the columns")
    if max(widths, default=0) > _WIDEST:
        raise ValueError(f"it has {max(widths):,} columns; columns are {COLUMN_TEXT}")


def _pieces(file: TextIO) -> Iterator[str]:
    """Yield the lines of the header and of the first row, which may have several by quotes."""
    left = _LONGEST
    while line := file.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise ValueError(f"its first two rows have more than {_LONGEST:,} characters")
        yield line


def _check_footer(path: Path) -> None:
    """Refuse a Parquet file of more columns than any manifest has.

    Raises:
        ValueError: the description of its columns is too long.
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 8))
        size = int.from_bytes(file.read(4), "little")
    if size > _FOOTER:
        raise ValueError(f"it describes its columns in {size:,} bytes; columns are {COLUMN_TEXT}")


def _encoding(path: Path) -> str:
    """Return the encoding that the first bytes of a CSV file name: UTF-8 but for a UTF-16 mark."""
    with path.open("rb") as file:
        head = file.read(2)
    return "utf-16" if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _check_columns(path: Path, table: "pd.DataFrame") -> None:
    table.columns = table.columns.astype(str).str.strip()
    for column in table.columns:
        if column not in COLUMNS:
            raise UserError(
                f"The manifest {path} has an unknown column '{column}'"
                f"{did_you_mean(column, COLUMNS)}. Columns are {COLUMN_TEXT}; "
                "in a CSV file commas stand between them."
            )
    if {"time", "frame"} <= set(table.columns):
        raise UserError(
            f"The manifest {path} has the columns 'time' and 'frame': keep one, and remove the "
            "other."
        )
    if "path" not in table:
        raise UserError(f"The manifest {path} has no column 'path': add it, one image per row.")


def _image_paths(path: Path, table: "pd.DataFrame") -> tuple[list[str], list[str]]:
    """Return the paths of the images, and notes about how they were read."""
    # os.path: a name that no file can have is no image, and no error.
    back = table["path"][table["path"].str.contains("\\", regex=False)].items()
    turned = {row: cell for row, cell in back if not os.path.isfile(path.parent / cell)}
    for row, cell in turned.items():
        table.loc[row, "path"] = cell.replace("\\", "/")
    notes = [f"{many(len(turned), 'path')} with \\: read with /."] if turned else []
    cells = table["path"].items()
    missing = [(row, cell) for row, cell in cells if not os.path.isfile(path.parent / cell)]
    if missing:
        row, cell = missing[0]
        drive = re.match(r"[A-Za-z]:/", cell)
        hint = " It names a drive of Windows: write paths as they are here." if drive else ""
        raise UserError(
            f"Row {row} of {path}: there is no image '{cell[:200]}' "
            f"({len(missing)} of {len(table)} rows are so). Paths are relative to "
            f"{_beside(path)}.{hint}"
        )
    return [_posix(path.parent, cell) for cell in table["path"]], notes


def _beside(path: Path) -> str:
    """Return the folder of a manifest in words."""
    name = path.parent.name
    return str(path.parent) if name not in ("", "..") else "the folder of the manifest"


def _posix(root: Path, path: str) -> str:
    """Return the path relative to root; an absolute path outside of root stays absolute."""
    relative = os.path.relpath(root / path, root)
    outside = os.path.isabs(path) and relative.startswith(os.pardir)
    return Path(os.path.normpath(path) if outside else relative).as_posix()


def _split(path: Path, row: Any, cell: str) -> Split:
    for split in SPLITS:
        if cell.lower() == split:
            return split
    raise UserError(
        f"Row {row} of {path}: unknown split '{cell}'{did_you_mean(cell.lower(), SPLITS)}. "
        f"It must be one of {', '.join(SPLITS)}."
    )


def _identities(column: "pd.Series[str] | None", count: int) -> tuple[list[int], tuple[str, ...]]:
    """Return one number per row, -1 where unknown, and the names if they are not numbers."""
    cells = [""] * count if column is None else list(column)
    known = sorted({cell for cell in cells if cell not in _UNKNOWN})
    whole = {cell: int(match[1]) for cell in known if (match := _WHOLE.fullmatch(cell))}
    if len(whole) == len(known) and max(whole.values(), default=0) <= _LARGEST:
        return [whole.get(cell, -1) for cell in cells], ()
    codes = {cell: code for code, cell in enumerate(known)}
    return [codes.get(cell, -1) for cell in cells], tuple(known)


def _cameras(column: "pd.Series[str] | None", count: int) -> tuple[list[int], tuple[str, ...]]:
    """Return one number per row, -1 where unknown, and the name of each."""
    cells = [""] * count if column is None else [_without_point(cell) for cell in column]
    names = numbered(cell for cell in cells if cell not in _UNKNOWN)
    codes = {name: code for code, name in enumerate(names)}
    return [codes.get(cell, -1) for cell in cells], names


def _times(path: Path, table: "pd.DataFrame") -> tuple[list[float], TimeUnit]:
    """Return one time per row, NaN where unknown, and their unit."""
    name = "frame" if "frame" in table else "time"
    if name not in table:
        return [math.nan] * len(table), ""
    cells = list(zip(table.index, _known(table[name]), strict=True))
    if name == "time":
        return clock.column(cells, str(path)), "seconds"
    return [_frame(path, row, cell) for row, cell in cells], "frames"


def _frame(path: Path, row: int, cell: str) -> float:
    try:
        return clock.number(cell, clock.FRAMES) if cell else math.nan
    except ValueError as error:
        raise UserError(f"Row {row} of {path}: the frame '{cell}' {error}.") from None


def _known(column: "pd.Series[str]") -> list[str]:
    """Return the cells, "" for each that says unknown."""
    return ["" if cell in _UNKNOWN else cell for cell in column]


def _without_point(cell: str) -> str:
    match = _WHOLE.fullmatch(cell)
    return match[1] if match else cell
