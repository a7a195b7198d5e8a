"""A clustering that a user names: a run, a folder of a step, a `clusters.h5`, or a table."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, Artifact, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.data.added import read_added
from mprd.data.index import split_rows
from mprd.decisions.seen import read_numbers
from mprd.errors import UserError, many
from mprd.pipeline.layout import EpochLayout, RunLayout


@dataclass(frozen=True)
class Clustering:
    """The clusters of some images.

    Attributes:
        source: file.
        labels: int (N,), -1 outlier.
        number: int (K,), what people call each cluster.
        paths: of the images, object (N,); None: not known.
    """

    source: Path
    labels: np.ndarray
    number: np.ndarray
    paths: np.ndarray | None

    def at(self, rows: np.ndarray) -> "Clustering":
        """Return the clustering of some images only; clusters without any of them go.

        Args:
            rows: int (n,).
        """
        kept, labels = np.unique(self.labels[rows], return_inverse=True)
        labels = labels - int((kept < 0).any())
        assert self.paths is not None
        return Clustering(self.source, labels, self.number[kept[kept >= 0]], self.paths[rows])


def read_clustering(path: Path) -> Clustering:
    """Read a clustering.

    Args:
        path: folder of a run (its final clusters), folder with a `clusters.h5`, such a file, or a
            CSV with the columns path and cluster. Images that came to a run by `mprd add` count.

    Raises:
        UserError: it is none of these.
    """
    if path.suffix == ".csv":
        table = read_numbers(path)
        return _numbered(path, table.to_numpy(), table.index.to_numpy(object))
    if path.is_dir():
        run = RunLayout(path)
        if run.config.is_file():
            return _of_run(run)
        path = EpochLayout(path).clusters
    return _of_file(path, read_artifact(path, CLUSTERS))


def in_common(a: Clustering, b: Clustering) -> tuple[Clustering, Clustering, tuple[int, int]]:
    """Return two clusterings of the images that both have, in one order.

    Returns:
        Both, and how many images only the first has, and only the second.

    Raises:
        UserError: they have no image in common, or it is not known which images they are of.
    """
    if a.paths is None or b.paths is None:
        if len(a.labels) != len(b.labels):
            raise UserError(
                f"{a.source} clusters {many(len(a.labels), 'image')}, {b.source} "
                f"{len(b.labels):,}: give two of one data set."
            )
        return a, b, (0, 0)
    row = {path: n for n, path in enumerate(b.paths.tolist())}
    both = [(n, row[path]) for n, path in enumerate(a.paths.tolist()) if path in row]
    if not both:
        raise UserError(f"{a.source} and {b.source} have no image in common: give two of one set.")
    rows = np.array(both)
    rest = len(a.labels) - len(both), len(b.labels) - len(both)
    return a.at(rows[:, 0]), b.at(rows[:, 1]), rest


def numbers(one: Clustering) -> np.ndarray:
    """Return the number of each image's cluster, int (N,), -1 outlier."""
    return numbers_of(one.labels, one.number)


def _of_run(run: RunLayout) -> Clustering:
    clusters = read_artifact(run.final.clusters, CLUSTERS)
    own, added = _of_file(run.final.clusters, clusters), read_added(run, clusters)
    if own.paths is None or not len(added):
        return own
    values = np.concatenate([numbers(own), added["number"]])
    return _numbered(run.final.table, values, np.concatenate([own.paths, added["path"]]))


def _of_file(path: Path, found: Artifact) -> Clustering:
    return Clustering(path, found["labels"], found["number"], _paths(path, found))


def _numbered(source: Path, values: np.ndarray, paths: np.ndarray) -> Clustering:
    """Return the clustering that the number of each image's cluster is; -1 outlier."""
    number, labels = np.unique(values[values >= 0], return_inverse=True)
    every = np.full(len(values), -1)
    every[values >= 0] = labels
    return Clustering(source, every, number, paths)


def _paths(clusters: Path, found: Artifact) -> np.ndarray | None:
    """Return the paths of the images of a run's clusters; None: the run's index is not there."""
    for folder in clusters.absolute().parents:
        run = RunLayout(folder)
        if run.config.is_file():
            if not run.index.is_file():
                return None
            index = read_artifact(run.index, INDEX, ("path", "split"))
            same = found.inputs.get("index") == index.digest
            return index["path"][split_rows(index, "train")] if same else None
    return None
