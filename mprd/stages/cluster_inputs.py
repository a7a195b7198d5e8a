"""What clusters are made from: distances, a person's answers, the numbers of an earlier run."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.numbering import keep_numbers
from mprd.config import TimeConfig
from mprd.errors import UserError
from mprd.evidence.fusion import corrected

if TYPE_CHECKING:  # slow to load, and most runs have no earlier numbers
    import pandas as pd

_LARGEST = 10**9  # number of a cluster, so that new ones behind it fit into the file


def compared_distances(
    jaccard: csr_array, judged: csr_array | None, evidence: np.ndarray | None, settings: TimeConfig
) -> tuple[csr_array, csr_array]:
    """Return the distances that are clustered, and those that eps is compared with.

    Args:
        jaccard: float32 (N, N), as `graph_distance`.
        judged: float32 (N, N), as `judged_distance`; None: Jaccard distances are clustered.
        evidence: float32 (nnz,), what the times of each stored pair say; None: nothing.
        settings: the `time` section.

    Returns:
        float32 (N, N), float32 (N, N).
    """
    near_by, distance = jaccard, judged
    if evidence is not None:
        near_by = corrected(jaccard, evidence, settings)
        distance = None if judged is None else corrected(judged, evidence, settings)
    return near_by if distance is None else distance, near_by


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

    from mprd.pairs.answers import read_csv

    known = read_csv(table, ("path", "cluster"))
    number = pd.to_numeric(known["cluster"], errors="coerce")
    sound = (number % 1 == 0) & number.between(-1, _LARGEST)
    if not len(known) or not sound.all() or known["path"].duplicated().any():
        raise UserError(
            f"{table} must give each path one whole number as its cluster, -1 to {_LARGEST:,}. "
            "Name the final/clusters.csv of an earlier run in export.numbers."
        )
    return pd.Series(number.to_numpy(np.int64), index=pd.Index(known["path"]))
