"""The clusters of a run as a table for its user."""

from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts import Artifact, atomic
from mprd.data.index import name_cameras, name_identities


def write_cluster_csv(
    out: Path,
    index: Artifact,
    rows: np.ndarray,
    numbers: np.ndarray,
    confidence: np.ndarray,
    *,
    names: np.ndarray | None = None,
    lock: bool = True,
) -> None:
    """Write path, cluster, confidence and camera of images.

    Then the name, if people named a cluster, and the identity, if some are known.

    Args:
        out: CSV to write.
        index: `index.h5`.
        rows: int (N,), of the images in the index.
        numbers: int (N,), of the cluster of each image, -1 outlier.
        confidence: float32 (N,), mean relation to the others of the cluster.
        names: object (N,), what people call the identity, "" unknown; None: nobody named any.
        lock: see `atomic`.
    """
    table = pd.DataFrame(
        {
            "path": index["path"][rows],
            "cluster": numbers,
            "confidence": confidence,
            "camera": name_cameras(index, rows),
        }
    )
    if names is not None and (names != "").any():
        table["name"] = names
    if (index["identity"][rows] >= 0).any():
        table["identity"] = name_identities(index, rows)
    with atomic(out, lock=lock) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")


def names_in(clusters: Artifact) -> np.ndarray | None:
    """Return the name of each image's cluster, object (N,); None: no cluster has a name.

    Args:
        clusters: `clusters.h5`.
    """
    if "name" not in clusters.arrays:
        return None
    return np.append(clusters["name"].astype(object), "")[clusters["labels"]]
