"""The clusters of a run as a table for its user."""

from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts import Artifact, atomic
from mprd.artifacts.csv_rows import for_pandas
from mprd.clustering.membership import doubt_rank
from mprd.clustering.numbering import numbers_of
from mprd.data.added import Added
from mprd.data.index import name_cameras, name_identities
from mprd.errors import say
from mprd.pipeline.layout import FinalLayout, log_prefix
from mprd.stages.earlier_tables import derived_tables, earlier_table, keep_replaced


def write_cluster_csv(
    out: Path,
    index: Artifact,
    rows: np.ndarray,
    numbers: np.ndarray,
    membership: np.ndarray,
    *,
    names: np.ndarray | None = None,
    lock: bool = True,
    keep: bool = False,
    probability: np.ndarray | None = None,
    added: Added | None = None,
) -> None:
    """Write path, cluster, doubt and camera of images.

    The doubt is a rank among the images in clusters, see `doubt_rank`; empty for outliers. Then the
    name, if people named a cluster, and the identity, if some are known.

    Args:
        out: CSV to write.
        index: `index.h5`.
        rows: int (N,), of the images in the index.
        numbers: int (N,), of the cluster of each image, -1 outlier.
        membership: float32 (N,), mean relation to the others of the cluster.
        names: object (N,), what people call the identity, "" unknown; None: nobody named any.
        lock: see `atomic`.
        keep: a table that is replaced stays, see `keep_replaced`.
        probability: float32 (N,), by an audit, NaN for outliers; None: no audit, and no column.
        added: images behind them that were added to the run, marked by 1 in the column `added`;
            None: there is no such column.
    """
    table = pd.DataFrame(
        {"path": index["path"][rows], "cluster": numbers, "camera": name_cameras(index, rows)}
    )
    table["name"] = "" if names is None else names
    table["identity"] = name_identities(index, rows)
    table["added"] = 0
    if added is not None and len(added):
        more = {"path": added.paths, "cluster": added["number"], "camera": added["camera"]}
        more |= {"name": added["name"], "identity": "", "added": 1}
        table = pd.concat([table, pd.DataFrame(more)], ignore_index=True)
        membership = np.concatenate([membership, added["membership"]])
    else:
        table = table.drop(columns="added")
    numbers = table["cluster"].to_numpy()
    doubt = pd.Series(doubt_rank(membership, numbers), dtype="Int64")
    table.insert(2, "doubt", doubt.mask(numbers < 0))
    if probability is not None:
        table.insert(3, "probability", probability)
    for column in ("name", "identity"):
        if (table[column] == "").all():
            table = table.drop(columns=column)
    with atomic(out, lock=lock) as temporary:
        table.to_csv(for_pandas(temporary), index=False, float_format="%.3f")
        if keep and keep_replaced(out, temporary):
            kept = earlier_table(out, 1)
            derived = ", ".join(path.name for path in derived_tables(kept))
            also = f", and what was made of them in {derived}" if derived else ""
            say(f"{log_prefix(out)}the clusters before are in {kept}{also}")


def write_final_tables(
    end: FinalLayout, index: Artifact, rows: np.ndarray, clusters: Artifact, added: Added
) -> None:
    """Write `clusters.csv` of a run, and its numbers without decisions, where people made some.

    The images that were added come behind those of the run. A table that differs from the one it
    replaces leaves that as `clusters.1.csv`.

    Args:
        end: layout of the final clusters.
        index: `index.h5`.
        rows: int (N,), of the training images in the index.
        clusters: `clusters.h5`.
        added: images that were added.
    """
    numbers, names = numbers_of(clusters["labels"], clusters["number"]), names_in(clusters)
    trust = clusters["membership"]
    write_cluster_csv(end.table, index, rows, numbers, trust, names=names, keep=True, added=added)
    _write_undecided(end, index["path"][rows], clusters)


def names_in(clusters: Artifact) -> np.ndarray | None:
    """Return the name of each image's cluster, object (N,); None: no cluster has a name.

    Args:
        clusters: `clusters.h5`.
    """
    if "name" not in clusters.arrays:
        return None
    return np.append(clusters["name"].astype(object), "")[clusters["labels"]]


def _write_undecided(end: FinalLayout, paths: np.ndarray, clusters: Artifact) -> None:
    """Write the numbers without decisions beside the table; without decisions none are kept.

    Args:
        end: layout of the final clusters.
        paths: of the training images.
        clusters: `clusters.h5`.
    """
    if "undecided" not in clusters.arrays:
        end.undecided.unlink(missing_ok=True)
        return
    table = pd.DataFrame({"path": paths, "cluster": clusters["undecided"]})
    with atomic(end.undecided, lock=False) as temporary:
        table.to_csv(for_pandas(temporary), index=False)
