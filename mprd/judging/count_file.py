"""`count.csv` of a run: the clusters as they were, and those of them that a person checks."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mprd.artifacts import atomic
from mprd.artifacts.csv_rows import csv_rows
from mprd.clustering.counting import CountSample
from mprd.errors import UserError

_CLUSTERS, _OUTLIERS = "clusters", "outliers"


class CountRow(NamedTuple):
    """A line of the file: an image.

    Attributes:
        path: of the image.
        unit: number of its cluster or outlier in this file, from 0.
        stratum: `clusters` and a number, or `outliers`.
        units: in the stratum.
        check: place of its unit among those to check, from 1; "": it is not drawn.
        side: that all images of the file show; "": any.
    """

    path: str
    unit: int
    stratum: str
    units: int
    check: str
    side: str


_HEADER = list(CountRow._fields)


class Counted(NamedTuple):
    """A sample, and the images of its units.

    Attributes:
        sample: of units.
        paths: of the images that are counted.
        units: int64 (N,), of each.
        side: that they show; "": any.
    """

    sample: CountSample
    paths: list[str]
    units: np.ndarray
    side: str

    @property
    def clusters(self) -> int:
        """Number of clusters; units from there on are outliers."""
        return int(self.sample.sizes[self.sample.clusters].sum())


def write_count(path: Path, found: Counted, stratum: Mapping[int, int]) -> None:
    """Write a `count.csv`, atomically.

    Args:
        path: of the file.
        found: the sample.
        stratum: unit -> its stratum, of all units.
    """
    sample = found.sample
    kinds = enumerate(sample.clusters, 1)
    names = [f"{_CLUSTERS} {n}" if kind else _OUTLIERS for n, kind in kinds]
    check = {unit: str(place) for place, unit in enumerate(sample.units.tolist(), 1)}
    rows = [
        CountRow(
            image,
            unit,
            names[stratum[unit]],
            int(sample.sizes[stratum[unit]]),
            check.get(unit, ""),
            found.side,
        )
        for image, unit in zip(found.paths, found.units.tolist(), strict=True)
    ]
    with (
        atomic(path, lock=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows([_HEADER, *rows])


def read_count(path: Path) -> Counted:
    """Read a `count.csv`.

    Raises:
        UserError: it is something else, or was changed into nonsense.
    """
    wrong = UserError(f"{path} is no file of `mprd count`. Move it away and start a new count.")
    header, *lines = csv_rows(path)[0] or [[]]
    if header != _HEADER or not lines or any(len(line) != len(_HEADER) for line in lines):
        raise wrong
    whole = [(line[1], line[3], line[4] or "1") for line in lines]
    if not all(cell.isdecimal() and len(cell) < 10 for cells in whole for cell in cells):
        raise wrong
    rows = [CountRow(line[0], int(line[1]), line[2], int(line[3]), *line[4:]) for line in lines]
    of_unit = {row.unit: row for row in rows}
    sizes = {row.stratum: row.units for row in rows}
    names = sorted(sizes, key=lambda name: (name == _OUTLIERS, name))
    drawn = sorted((int(row.check), row.unit) for row in of_unit.values() if row.check)
    sound = (
        all(name == _OUTLIERS or name.startswith(f"{_CLUSTERS} ") for name in names)
        and all(of_unit[row.unit][1:] == row[1:] for row in rows)
        and Counter(row.stratum for row in of_unit.values()) == sizes
        and [place for place, _ in drawn] == list(range(1, len(drawn) + 1))
        and sorted(of_unit) == list(range(len(of_unit)))
        and len({row.path for row in rows}) == len(rows)
        and drawn
    )
    if not sound:
        raise wrong
    sample = CountSample(
        units=np.array([unit for _, unit in drawn], np.int64),
        stratum=np.array([names.index(of_unit[unit].stratum) for _, unit in drawn]),
        sizes=np.array([sizes[name] for name in names], np.int64),
        clusters=np.array([name != _OUTLIERS for name in names]),
    )
    units = np.array([row.unit for row in rows], np.int64)
    return Counted(sample, [row.path for row in rows], units, rows[0].side)
