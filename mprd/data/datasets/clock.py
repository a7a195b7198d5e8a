"""Times as people write them: ISO 8601, seconds, frames, or by a format of `strptime`."""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from mprd.errors import UserError

FRAMES: Final = "frames"
SECONDS: Final = "seconds"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_LARGEST = 1e11  # seconds: the year 5138; milliseconds since 1970 and 20260314081502 are above
_YEARS = re.compile(r"%[YyGcxs]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime(1900, 1, 1, tzinfo=UTC)  # what strptime takes for a date that is not given


def number(text: str, unit: str) -> float:
    """Return a time that is written as a number.

    Args:
        text: the number.
        unit: seconds or frames.

    Raises:
        ValueError: it is no number, or too large for seconds; the message says which.
    """
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise ValueError("is no number")
    if unit == SECONDS and abs(value) >= _LARGEST:
        raise ValueError(
            "is too large for seconds: divide milliseconds by 1000, and write a date as "
            "2026-03-14T08:15:02"
        )
    return value


def by_format(text: str, form: str) -> float:
    """Return seconds since the beginning of 1970, or of the day if the format has no year.

    Args:
        text: a date, time or both.
        form: format of `datetime.strptime`. Without a zone, the time counts as UTC.

    Raises:
        ValueError: the text does not fit the format.
    """
    when = datetime.strptime(text, form)
    return _since(when, _EPOCH if _YEARS.search(form) else _FIRST)


def moment(text: str) -> float:
    """Return seconds since the beginning of 1970 of a date in ISO 8601; UTC without a zone.

    Raises:
        ValueError: it is no such date.
    """
    return _since(datetime.fromisoformat(text), _EPOCH)


def column(cells: Iterable[tuple[int, str]], where: str) -> list[float]:
    """Return the times of a column, all in seconds; an empty cell is NaN.

    A column holds numbers of seconds, dates with a zone, or dates without: a mixture would put
    images hours or decades apart that are not.

    Args:
        cells: number of the row and text, as in the file.
        where: the file, for messages.

    Raises:
        UserError: a cell is no time, or cells are of different kinds.
    """
    times: list[float] = []
    first = ("", 0, "")
    for row, cell in cells:
        if not cell:
            times.append(math.nan)
            continue
        kind, time = _cell(cell, f"Row {row} of {where}")
        first = first if first[0] else (kind, row, cell)
        if kind != first[0]:
            raise UserError(
                f"The column time of {where} mixes {first[0]} and {kind}: row {first[1]} holds "
                f"'{first[2]}', row {row} '{cell}'. Write all of them in one way."
            )
        times.append(time)
    return times


def _cell(cell: str, place: str) -> tuple[str, float]:
    """Return what kind of time a cell holds, and the time."""
    if _NUMBER.fullmatch(cell):
        try:
            return "numbers", number(cell, SECONDS)
        except ValueError as error:
            raise UserError(f"{place}: the time '{cell}' {error}.") from None
    try:
        when = datetime.fromisoformat(cell)
    except ValueError:
        raise UserError(
            f"{place}: the time '{cell}' is neither a date such as 2026-03-14T08:15:02 "
            "(ISO 8601) nor a number of seconds."
        ) from None
    kind = "dates without a zone" if when.tzinfo is None else "dates with a zone"
    return kind, _since(when, _EPOCH)


def _since(when: datetime, start: datetime) -> float:
    """Return seconds from a start; a time without a zone counts as UTC."""
    known = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return (known - start).total_seconds()
