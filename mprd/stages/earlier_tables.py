"""Tables that a run replaces stay beside the new one: `clusters.1.csv` is the latest of them.

So do the tables that were made of the same clusters: `clusters_audited.csv` beside `clusters.csv`
becomes `clusters.1_audited.csv` beside `clusters.1.csv`. None lies beside newer clusters.
"""

import filecmp
import os
import re
import shutil
from pathlib import Path

from mprd.artifacts import atomic

KEPT = 9
_DERIVED = re.compile(r"audited|finer|coarser|\d[\d.e-]*")  # numbers: thresholds


def earlier_table(table: Path, age: int) -> Path:
    """Return the place of a table that was replaced.

    Args:
        table: its place before.
        age: 1 for the latest one, up to `KEPT`.
    """
    return table.with_name(f"{table.stem}.{age}{table.suffix}")


def derived_tables(table: Path) -> list[Path]:
    """Return the other tables of the same clusters: audited, or at another cut.

    Args:
        table: of clusters; it need not be there.
    """
    return [
        path
        for path in sorted(table.parent.glob(f"*{table.suffix}"))
        if path.name.startswith(f"{table.stem}_") and _DERIVED.fullmatch(_name_of(path, table))
    ]


def keep_replaced(table: Path, new: Path) -> bool:
    """Keep a table that a new one is about to replace, unless they are equal.

    Older ones move on by one; beyond `KEPT` the oldest goes. Tables of the same clusters move with
    theirs. A kill at any moment loses none: a step that was done already is not done again.

    Args:
        table: to be replaced; it need not be there, and stays where it is.
        new: takes its place afterwards.

    Returns:
        Whether the table is kept: it was there and differs.
    """
    latest = earlier_table(table, 1)
    if not table.is_file() or filecmp.cmp(table, new, shallow=False):
        return False
    if not (latest.is_file() and filecmp.cmp(table, latest, shallow=False)):
        _make_room(table)
        with atomic(latest, lock=False) as temporary:
            shutil.copy2(table, temporary)
    _move_derived(table, latest)
    return True


def _make_room(table: Path) -> None:
    """Free the place of the latest table that was replaced."""
    places = [earlier_table(table, age) for age in range(1, KEPT + 1)]
    if all(place.exists() for place in places):
        for derived in derived_tables(places[-1]):
            derived.unlink()
        places[-1].unlink()
    free = next(n for n, place in enumerate(places) if not place.exists())
    for number in range(free, 0, -1):
        _move_derived(places[number - 1], places[number])
        os.replace(places[number - 1], places[number])


def _move_derived(table: Path, place: Path) -> None:
    for path in derived_tables(table):
        name = _name_of(path, table)
        os.replace(path, place.with_name(f"{place.stem}_{name}{place.suffix}"))


def _name_of(derived: Path, table: Path) -> str:
    return derived.name.removeprefix(f"{table.stem}_").removesuffix(table.suffix)
