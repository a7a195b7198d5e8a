"""`mprd recluster`: the clusters of a run at another cut of the stored merge tree."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mprd.artifacts import (
    CLUSTERS,
    INDEX,
    read_artifact,
)
from mprd.clustering.cuts import Direction, neighboring_cut
from mprd.clustering.decided import names_of
from mprd.clustering.linkage import LinkageTree
from mprd.clustering.membership import membership
from mprd.clustering.numbering import keep_numbers, numbers_of
from mprd.clustering.sides import Sides
from mprd.clustering.stored_tree import stored_tree
from mprd.clustering.tracks import TrackGroups
from mprd.config import load_config
from mprd.data.added import added_paths
from mprd.data.index import side_codes, split_rows
from mprd.decisions.decided import read_decided
from mprd.errors import UserError, many
from mprd.evidence.run_distance import of_the_run, run_distance
from mprd.pipeline.finished import finished_run
from mprd.stages.cluster_csv import write_cluster_csv


@dataclass(frozen=True)
class Recut:
    """What another cut gave.

    Attributes:
        before: clusters, outliers and threshold of the run, in words.
        after: those of the cut.
        same: no image changed its cluster.
        out: the table written.
    """

    before: str
    after: str
    same: bool
    out: Path


def cut_elsewhere(*, run: Path, cut: float | Direction, out: Path | None = None) -> Recut:
    """Write the clusters of a finished run at another cut.

    Tracks and decisions hold as in the run, the decisions as their files are now. A cluster keeps
    the number of the run's cluster with which it shares most images, as `keep_numbers` says; others
    get new numbers.

    Args:
        run: folder of a run with `cluster.method: linkage`.
        cut: threshold, or which way to move from the run's, see `neighboring_cut`.
        out: CSV to write; None: beside the run's `clusters.csv`, which stays. The run's own
            one in its place stays as `clusters.1.csv`.

    Raises:
        UserError: another method, no final clusters, files of different runs, a threshold out of
            range, or no cut on the wanted side with other clusters.
    """
    layout = finished_run(run)
    config = load_config(layout.config)
    settings = config.cluster
    if settings.method != "linkage":
        raise UserError(
            f"{run} has the clusters of cluster.method {settings.method}, which cannot be cut "
            "elsewhere. Set cluster.method to linkage and run `mprd run` again."
        )
    found = read_artifact(layout.final.clusters, CLUSTERS)
    tree, own = stored_tree(found), float(found.attributes["threshold"])
    threshold = _threshold(tree, own, settings.min_size, cut)
    images = of_the_run(found, "index", layout.index, INDEX)
    rows = split_rows(images, "train")
    tracks = TrackGroups.of_tracks(images["track"][rows])
    labels = tree.cut(threshold, settings.min_size)[tracks.first]
    sides = Sides.of_tracks(side_codes(images, rows), tracks)
    distance = run_distance(found, layout, config, tracks, sides)
    decided = read_decided(
        settings.constraints,
        layout.decisions,
        images["path"][rows],
        tracks,
        added_paths(layout.final),
        labels=labels[tracks.group],
    )
    names = None
    if decided is not None:
        there = settings.model_copy(update={"threshold": threshold})
        labels = decided.linked(distance, there, sides)[0]
        names = names_of(labels[tracks.group], decided.names)
    trust = membership(distance, labels, tracks.sizes)[tracks.group]
    labels = labels[tracks.group]
    before = numbers_of(found["labels"], found["number"])
    number = keep_numbers(labels, before, int(before.max(initial=-1)) + 1)
    numbers = numbers_of(labels, number)
    name = str(cut) if isinstance(cut, Direction) else f"{cut:g}"
    out = out or layout.final.recut(name)
    named = None if names is None else np.append(names, "")[labels]
    is_own = out.resolve() == layout.final.table.resolve()
    write_cluster_csv(out, images, rows, numbers, trust, names=named, lock=False, keep=is_own)
    return Recut(
        before=_words(found["labels"], own),
        after=_words(labels, threshold),
        same=np.array_equal(numbers, before),
        out=out,
    )


def _threshold(tree: LinkageTree, own: float, min_size: int, cut: float | Direction) -> float:
    if not isinstance(cut, Direction):
        if not 0 <= cut < 1:
            raise UserError(f"The threshold must be at least 0 and below 1, not {cut:g}.")
        return cut
    threshold = neighboring_cut(tree, own, min_size, cut)
    if threshold is None:
        raise UserError(
            f"There is no {cut} cut than at {own:g}: no other one changes the clusters."
        )
    return threshold


def _words(labels: np.ndarray, threshold: float) -> str:
    clusters, outliers = labels.max(initial=-1) + 1, int((labels < 0).sum())
    return f"{many(clusters, 'cluster')}, {many(outliers, 'outlier')} at threshold {threshold:g}"
