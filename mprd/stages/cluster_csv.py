"""The clusters of a run as a table for its user."""

from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts import Artifact, atomic
from mprd.data.index import name_cameras, name_identities
from mprd.pipeline.layout import log_prefix
from mprd.stages.earlier_tables import earlier_table, keep_replaced


def write_cluster_csv(
    out: Path,
    index: Artifact,
    rows: np.ndarray,
    numbers: np.ndarray,
    confidence: np.ndarray,
    *,
    lock: bool = True,
    keep: bool = False,
) -> None:
    """Write path, cluster, confidence and camera of images, and the identity if some are known.

    Args:
        out: CSV to write.
        index: `index.h5`.
        rows: int (N,), of the images in the index.
        numbers: int (N,), of the cluster of each image, -1 outlier.
        confidence: float32 (N,), mean relation to the others of the cluster.
        lock: see `atomic`.
        keep: a table that is replaced stays, see `keep_replaced`.
    """
    table = pd.DataFrame(
        {
            "path": index["path"][rows],
            "cluster": numbers,
            "confidence": confidence,
            "camera": name_cameras(index, rows),
        }
    )
    if (index["identity"][rows] >= 0).any():
        table["identity"] = name_identities(index, rows)
    with atomic(out, lock=lock) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")
        if keep and keep_replaced(out, temporary):
            print(f"{log_prefix(out)}the clusters before are in {earlier_table(out, 1)}")
