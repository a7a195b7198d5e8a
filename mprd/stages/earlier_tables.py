"""Tables that a run replaces stay beside the new one: `clusters.1.csv` is the latest of them."""

import filecmp
import os
import shutil
from pathlib import Path

from mprd.artifacts import atomic

KEPT = 9


def earlier_table(table: Path, age: int) -> Path:
    """Return the place of a table that was replaced.

    Args:
        table: its place before.
        age: 1 for the latest one, up to `KEPT`.
    """
    return table.with_name(f"{table.stem}.{age}{table.suffix}")


def keep_replaced(table: Path, new: Path) -> bool:
    """Keep a table that a new one is about to replace, unless they are equal.

    Older ones move on by one; beyond `KEPT` the oldest goes. A kill at any moment loses none: a
    step that was done already is not done again.

    Args:
        table: to be replaced; it need not be there, and stays where it is.
        new: takes its place afterwards.

    Returns:
        Whether the table is kept: it was there and differs.
    """
    latest = earlier_table(table, 1)
    if not table.is_file() or filecmp.cmp(table, new, shallow=False):
        return False
    if latest.is_file() and filecmp.cmp(table, latest, shallow=False):
        return True
    places = [earlier_table(table, age) for age in range(1, KEPT + 1)]
    free = next((n for n, place in enumerate(places) if not place.exists()), KEPT - 1)
    for number in range(free, 0, -1):
        os.replace(places[number - 1], places[number])
    with atomic(latest, lock=False) as temporary:
        shutil.copy2(table, temporary)
    return True
