"""The clusters before training beside those after it."""

from collections.abc import Iterator

import numpy as np

from mprd.artifacts import Artifact
from mprd.clustering.health import stability
from mprd.errors import pasted
from mprd.judging.audit_file import audit_words
from mprd.judging.other_clusters import START
from mprd.report.page.blocks import Section, Table, Text
from mprd.report.page.run_data import RunData

# Attribute of the clusters -> what it is called; NaN: not known, and not shown.
_FIGURES = {
    "health": "self-agreement",
    "pair_precision": "pair precision, by the identities",
    "pair_recall": "pair recall, by the identities",
    "pair_f1": "pair F1, by the identities",
}


def start(run: RunData) -> Section | None:
    """Return both clusterings side by side; None: the run trains nothing."""
    before = run.start_clusters
    if before is None:
        return None
    agreement = stability(run.labels, before["labels"])
    return Section(
        "start",
        "Before and after training",
        "The clusters of the start features, and those of the trained model.",
        (
            Table(("", "before training", "after training"), list(_rows(run, before))),
            Text(f"Agreement of the two: pair F1 {agreement:.2f}. 1 means the same clusters."),
            Text(_which(run)),
        ),
    )


def _rows(run: RunData, before: Artifact) -> Iterator[tuple[str, ...]]:
    both = (before, run.clusters)
    yield "clusters", *(f"{len(one['sizes']):,}" for one in both)
    yield "outliers", *(f"{int(one.attributes['num_outliers']):,}" for one in both)
    yield "images in a cluster", *(_sizes(one["sizes"]) for one in both)
    for key, name in _FIGURES.items():
        values = [float(one.attributes[key]) for one in both]
        if not np.isnan(values).all():
            yield name, *("" if np.isnan(value) else f"{value:.2f}" for value in values)
    yield "audit", audit_words(run.layout, start=True), audit_words(run.layout)
    yield "table", "start/clusters.csv", "final/clusters.csv"


def _sizes(sizes: np.ndarray) -> str:
    return f"median {np.median(sizes):g}, largest {sizes.max():,}" if len(sizes) else ""


def _which(run: RunData) -> str:
    """Return how to tell which of the two is better."""
    if (run.identity >= 0).any():
        return "The pair F1 by the identities tells which of the two is better."
    return (
        "No score without labels can tell which of the two is better: training makes the distances "
        "smaller that all of them are made from. Your answers can: mprd audit "
        f"{pasted(run.layout.folder)} --beside {START}."
    )
