"""Figures of the clusters that need no identities, and what can be changed; no verdict.

No figure without labels can tell whether clusters are right (docs/explanation/report.md), so the
page says what each one measures, and how to measure the truth.
"""

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from mprd.clustering.health import ClusterHealth, cluster_health, stability
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.errors import pasted
from mprd.judging.audit_file import audit_words
from mprd.report.page.blocks import Block, Section, Table, Text
from mprd.report.page.run_data import RunData

# Field of `ClusterHealth`, or `stability` -> its name, and what it measures.
FIGURES = {
    "score": (
        "Self-agreement",
        "how well the clusters fit the distances that they were made from: geometric mean of the "
        "next two",
    ),
    "found": (
        "Found",
        "share in one cluster of the pairs that are each other's nearest across two cameras",
    ),
    "cohesion": (
        "Cohesion",
        "mean of 1 - distance of an image to the others of its cluster; outliers count 0",
    ),
    "outliers": ("Outliers", "share of the images that are in no cluster"),
    "single_camera": ("Clusters of one camera", "share of the clusters that one camera sees"),
    "stability": ("As before", "agreement with the clusters that the last epoch trained on"),
    "largest": ("Largest cluster", "share of all images that it holds"),
    "silhouette": (
        "Silhouette",
        "how much nearer images are to their own cluster than to the next one, -1 to 1",
    ),
}
_MANY_OUTLIERS, _LARGE, _ONE_CAMERA = 0.25, 0.1, 0.25


def health(run: RunData) -> Section:
    """Return the figures of the final clusters."""
    tracks = TrackGroups.of_tracks(run.index["track"][run.rows])
    metrics = cluster_health(
        tracks.between(run.distance),
        run.labels[tracks.first],
        tracks.between_lists(run.graph["neighbors"]),
        run.camera[tracks.first],
        tracks.sizes,
    )
    before = run.labels_before
    steady = float("nan") if before is None else stability(run.labels, before)
    blocks: list[Block] = [
        Text(f"Clusters {audit_words(run.layout)}."),
        Table(("figure", "value", "what it measures"), figures(metrics, steady)),
    ]
    blocks += [Text(one) for one in advice(metrics, run.config, str(run.layout.folder))]
    return Section(
        "health",
        "Figures without labels",
        "They tell how well the clusters fit their own distances, not whether they are right: "
        "wrong clusters can have high figures, after training most of all. Your answers to random "
        "pairs tell how many are right.",
        tuple(blocks),
    )


def figures(metrics: ClusterHealth, steady: float) -> list[tuple[str, str, str]]:
    """Return name, value and meaning of each figure that is known.

    Args:
        metrics: of the clusters.
        steady: their agreement with the clusters of the epoch before (`stability`); NaN: none.
    """
    values = asdict(metrics) | {"stability": steady}
    return [
        (name, f"{values[field]:.2f}", meaning)
        for field, (name, meaning) in FIGURES.items()
        if not np.isnan(values[field])
    ]


def advice(metrics: ClusterHealth, config: Config, run: str) -> Iterator[str]:
    """Yield what can be changed where something is out of the ordinary.

    It names no value that is set already, and no setting that the method does not read.

    Args:
        metrics: of the clusters.
        config: of the run.
        run: its folder.
    """
    finer, coarser = _cuts(config, run)
    if metrics.outliers > _MANY_OUTLIERS and coarser:
        share = f"{metrics.outliers:.0%} of the images are in no cluster"
        yield f"{share}. If they are usable, {coarser}."
    if metrics.largest > _LARGE and finer:
        share = f"The largest cluster holds {metrics.largest:.0%} of all images"
        yield f"{share}. If it shows several identities, {finer}."
    if metrics.single_camera > _ONE_CAMERA and config.graph.cameras == "none":
        yield (
            f"One camera sees {metrics.single_camera:.0%} of the clusters. If identities pass "
            "several cameras, set graph.cameras to center, which removes what the images of a "
            "camera share."
        )


def _cuts(config: Config, run: str) -> tuple[str, str]:
    """Return what makes finer clusters, and what coarser ones; "": not known."""
    cluster = config.cluster
    if cluster.method == "linkage":
        return (
            f"try mprd recluster {pasted(run)} --finer",
            f"try mprd recluster {pasted(run)} --coarser",
        )
    if cluster.method == "dbscan":
        return (
            f"set cluster.eps below {cluster.eps:g}",
            f"set cluster.eps above {cluster.eps:g}",
        )
    if cluster.method != "community" or cluster.gamma == "auto":
        return "", ""
    return (
        f"set cluster.gamma above {cluster.gamma:g}",
        f"set cluster.gamma below {cluster.gamma:g}",
    )
