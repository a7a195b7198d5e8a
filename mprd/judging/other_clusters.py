"""Clusters that those of a run are compared with: of its start, of another run, or of a table."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, Artifact, read_artifact
from mprd.clustering.numbering import number_clusters
from mprd.config import load_config
from mprd.data.index import split_rows
from mprd.decisions.seen import read_numbers
from mprd.errors import UserError, many, why_no_file
from mprd.graph.cameras import align_cameras
from mprd.pipeline.finished import finished_run
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout, StepLayout, run_of

START = "start"


@dataclass(frozen=True)
class OtherClusters:
    """Other clusters of the images of a run.

    Attributes:
        place: `start`, or the path from the folder of the run.
        labels: int (N,), of the training images of the run, -1 outlier.
        features: returns what these clusters were made from, float (N, D), without what cameras
            share; None: that is not known.
    """

    place: str
    labels: np.ndarray
    features: Callable[[], np.ndarray] | None


def other_clusters(run: RunLayout, other: str) -> OtherClusters:
    """Return other clusters of the images of a run.

    Args:
        run: layout of the finished run.
        other: `start`, the folder of a finished run, or a table with path and cluster.

    Raises:
        UserError: there are none, or an image of the run is not among theirs.
    """
    if other == START:
        step = run_with_start(run.folder, "Name other clusters.").epoch(FIRST_EPOCH)
        labels = read_artifact(step.clusters, CLUSTERS, ("labels",))["labels"]
        return OtherClusters(START, numbered(labels), lambda: compared_features(run, step))
    path = Path(other)
    place = Path(os.path.relpath(path, run.folder)).as_posix()
    paths = _paths(run)
    if path.is_dir():
        second = finished_run(path)
        labels = read_artifact(second.final.clusters, CLUSTERS, ("labels",))["labels"]
        rows = _rows_of(paths, _paths(second), path, run)
        return OtherClusters(
            place,
            numbered(labels[rows]),
            lambda: compared_features(second, second.final)[rows],
        )
    if not path.is_file():
        raise UserError(
            f"{why_no_file(path)}. Name `{START}`, the folder of a finished run, or a table with "
            "the columns path and cluster."
        )
    known = read_numbers(path)
    rows = _rows_of(paths, known.index.to_numpy(), path, run)
    return OtherClusters(place, numbered(known.to_numpy()[rows]), None)


def numbered(labels: np.ndarray) -> np.ndarray:
    """Return labels int32 (N,) by the first image of each cluster, -1 outlier, as a run has them.

    Equal clusters have equal labels then, whatever the clusters are called.
    """
    inside, found = labels >= 0, np.full(len(labels), -1, np.int32)
    found[inside] = number_clusters(labels[inside], 1)
    return found


def compared_features(run: RunLayout, step: StepLayout) -> np.ndarray:
    """Return the features of a step by which pairs are ranked, float (N, D).

    Args:
        run: layout of the run.
        step: whose features.
    """
    index = read_artifact(run.index, INDEX, ("camera", "split"))
    features = read_artifact(step.features, FEATURES)["features"]
    cameras = load_config(run.config).graph.cameras
    return align_cameras(features, index["camera"][split_rows(index, "train")], cameras)


def run_with_start(folder: Path, advice: str) -> RunLayout:
    """Return the layout of a run that has clusters before training.

    Args:
        folder: of the run.
        advice: if it trains nothing.

    Raises:
        UserError: it has none, or not yet.
    """
    run = run_of(folder)
    if not load_config(run.config).epochs:
        raise UserError(f"{folder} trains nothing: its clusters are those of the start. {advice}")
    if not run.epoch(FIRST_EPOCH).clusters.is_file():
        raise UserError(
            f"{folder} has no clusters of the start yet. Go on with `mprd run CONFIG`, where "
            "CONFIG is the file that it was started with."
        )
    return run


def _paths(run: RunLayout) -> np.ndarray:
    index: Artifact = read_artifact(run.index, INDEX, ("path", "split"))
    return index["path"][split_rows(index, "train")]


def _rows_of(paths: np.ndarray, known: np.ndarray, source: Path, run: RunLayout) -> np.ndarray:
    """Return the place of each path of a run among those of other clusters, int64 (N,).

    Raises:
        UserError: one is not among them.
    """
    place = {str(path): n for n, path in enumerate(known)}
    missing = [str(path) for path in paths if str(path) not in place]
    if missing:
        raise UserError(
            f"{source} has no cluster for {missing[0]} ({many(len(missing), 'such image')} of "
            f"{run.folder}). Two clusterings are compared on the same images."
        )
    return np.array([place[str(path)] for path in paths], np.int64)
