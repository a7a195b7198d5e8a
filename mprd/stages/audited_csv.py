"""The clusters of a run with the probabilities that an audit of them gives."""

from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, read_artifact
from mprd.clustering.audited import audited_probability
from mprd.clustering.numbering import numbers_of
from mprd.config import load_config
from mprd.data.index import side_codes, split_rows
from mprd.graph.cameras import align_cameras
from mprd.judging.audit_file import audited, finished_audit
from mprd.pipeline.layout import RunLayout
from mprd.stages.cluster_csv import names_in, write_cluster_csv


def write_audited_csv(run: RunLayout, *, start: bool = False) -> Path | None:
    """Write the clusters that were audited, with a column `probability`, beside their table.

    Args:
        run: layout of the run.
        start: the clusters before training, else the final ones.

    Returns:
        The file; None: there is no finished audit of these clusters.

    Raises:
        UserError: the audit file is damaged.
    """
    estimate = finished_audit(run, start=start)
    if estimate is None:
        return None
    measured, index = audited(run, start=start), read_artifact(run.index, INDEX)
    rows: np.ndarray = split_rows(index, "train")
    found = read_artifact(measured.clusters, CLUSTERS)
    labels, trust = found["labels"], found["membership"]
    features = read_artifact(measured.features, FEATURES)["features"]
    cameras = load_config(run.config).graph.cameras
    compared = align_cameras(features, index["camera"][rows], cameras)
    out = (run.start_table if start else run.final.table).with_name("clusters_audited.csv")
    numbers = numbers_of(labels, found["number"])
    blocks = index["track"][rows], side_codes(index, rows)
    probability = audited_probability(labels, compared, estimate, *blocks)
    names = names_in(found)
    write_cluster_csv(
        out, index, rows, numbers, trust, names=names, lock=False, probability=probability
    )
    return out
