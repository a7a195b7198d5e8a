"""What people call the clusters of a run: numbers of an earlier run, or of decisions, and names."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mprd.clustering.decided import names_of
from mprd.clustering.numbering import keep_numbers, numbers_of
from mprd.decisions.decided import Decided
from mprd.errors import UserError

if TYPE_CHECKING:  # slow to load, and most runs have no earlier numbers
    import pandas as pd

_LARGEST = 10**9  # number of a cluster, so that new ones behind it fit into the file


def known_as(
    labels: np.ndarray,
    base: np.ndarray,
    decided: Decided | None,
    earlier: Path | None,
    paths: np.ndarray | None,
    table: Path,
) -> dict[str, np.ndarray]:
    """Return `number` and `name` of each cluster, int32 (K,) and object (K,), as far as known.

    Args:
        labels: int (N,), -1 outlier.
        base: int (N,), without decisions.
        decided: decisions; None: there are none.
        earlier: `clusters.csv` of an earlier run, or None.
        paths: of the images; None: there is neither.
        table: `clusters.csv` of the run, if it is there: the numbers that a person has seen.
    """
    if decided is None or paths is None:
        return {"number": cluster_numbers(labels, earlier, paths)}
    first = numbers_of(base, cluster_numbers(base, earlier, paths))
    shown = shown_numbers(table, paths)
    found = {"number": decided.numbers(labels, first, first if shown is None else shown)}
    names = names_of(labels, decided.names)
    return found | ({"name": names} if (names != "").any() else {})


def cluster_numbers(
    labels: np.ndarray, earlier: Path | None, paths: np.ndarray | None
) -> np.ndarray:
    """Return what people call each cluster.

    Args:
        labels: int32 (N,), -1 outlier.
        earlier: `clusters.csv` of an earlier run, whose numbers go on; None: labels are numbers.
        paths: of the images, read where `earlier` is given.

    Returns:
        int32 (K,).

    Raises:
        UserError: `earlier` is no table of clusters.
    """
    count = int(labels.max(initial=-1)) + 1
    if earlier is None or paths is None:
        return np.arange(count, dtype=np.int32)
    known = read_numbers(earlier)
    before = known.reindex(paths, fill_value=-1).to_numpy()
    if not known.index.isin(paths).any():
        print(f"Warning: {earlier} names none of these images; all clusters get new numbers.")
    return keep_numbers(labels, before, int(known.max()) + 1)


def shown_numbers(table: Path, paths: np.ndarray) -> np.ndarray | None:
    """Return the numbers of a run's `clusters.csv` as a person last saw them, int (N,).

    Args:
        table: the file.
        paths: of the images.

    Returns:
        -1 for outliers and for images that it does not name; None: there is no such table.
    """
    if not table.is_file():
        return None
    return read_numbers(table).reindex(paths, fill_value=-1).to_numpy()


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
            "Name the final/clusters.csv of an earlier run in export.numbers."
        )
    return pd.Series(number.to_numpy(np.int64), index=pd.Index(known["path"]))
