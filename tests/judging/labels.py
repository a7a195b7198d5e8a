"""Files of a finished run with other content: its clusters, a row of a table."""

import csv

import numpy as np

from mprd.artifacts import CLUSTERS, read_artifact, write_artifact
from mprd.pipeline.layout import RunLayout


def write_labels(run: RunLayout, labels: np.ndarray, number: np.ndarray) -> None:
    """Write final clusters; all else stays.

    Args:
        run: that is changed.
        labels: int (N,), -1 outlier.
        number: int (K,), of the clusters.
    """
    old = read_artifact(run.final.clusters, CLUSTERS)
    arrays = {
        "labels": labels,
        "sizes": np.bincount(labels[labels >= 0]).astype(np.int32),
        "number": number.astype(np.int32),
        "membership": old["membership"],
    }
    write_artifact(
        run.final.clusters,
        CLUSTERS,
        arrays,
        config={},
        inputs=old.inputs,
        attributes=old.attributes,
    )


def change_first_row(table, column, value):
    """Write another value into the first row of a CSV."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0][column] = value
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
