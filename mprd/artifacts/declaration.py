"""How an artifact is declared: its arrays and attributes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Array:
    """One data set of an artifact.

    Attributes:
        dtype: numpy dtype name, or `str` for variable-length UTF-8.
        dims: names of the dimensions; a name stands for the same size in the whole file, an
            integer for itself, `N+1` for one more than `N`.
        description: what a row is.
        units: units, where they apply.
        minimum: smallest value allowed.
        maximum: largest value allowed.
        below: name of a dimension that every value is smaller than (for row indices).
        unit_rows: rows have length 1.
        finite: NaN and infinities are refused (floats only).
        streamed: too large to be scanned at each read; rows are read by chunk.
        others: dtypes that a file may hold instead; a reader gives `dtype` in any case.
    """

    dtype: str
    dims: tuple[str | int, ...]
    description: str
    units: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    below: str | None = None
    unit_rows: bool = False
    finite: bool = True
    streamed: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """An artifact type: name, version, the `mprd` command that makes it, and its contents.

    `fault` says what several data sets together must not be; it is asked when a file is written.
    """

    name: str
    version: int
    command: str
    description: str
    arrays: dict[str, Array]
    attributes: dict[str, str] = field(default_factory=dict)
    fault: Callable[[Mapping[str, Any]], str | None] | None = None
