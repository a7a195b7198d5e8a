"""The numbers of clusters that people have seen: those of a `clusters.csv`."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mprd.errors import UserError, say

if TYPE_CHECKING:  # slow to load
    import pandas as pd

_LARGEST = 10**9  # number of a cluster, so that new ones behind it fit into the file


def numbers_if_sound(table: Path) -> "pd.Series | None":
    """Return the numbers of a table that the run replaces; None: it is missing, or no table."""
    if not table.is_file():
        return None
    try:
        return read_numbers(table)
    except UserError as error:
        say(f"Warning: the clusters get new numbers. {error}")
        return None


def read_numbers(table: Path) -> "pd.Series":
    """Return the number of the cluster of each image of a `clusters.csv`, by path.

    Raises:
        UserError: no such table.
    """
    import pandas as pd

    from mprd.decisions.answers import read_csv

    known = read_csv(table, ("path", "cluster"))
    number = pd.to_numeric(known["cluster"], errors="coerce")
    sound = (number % 1 == 0) & number.between(-1, _LARGEST)
    if not len(known) or not sound.all() or known["path"].duplicated().any():
        raise UserError(
            f"{table} must give each path one whole number as its cluster, -1 to {_LARGEST:,}. "
            "Name the final/clusters.csv of a run."
        )
    return pd.Series(number.to_numpy(np.int64), index=pd.Index(known["path"]))
