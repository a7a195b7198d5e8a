"""One cluster, or the judgements on one image: rows of an artifact with what the index knows."""

from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts import CLUSTERS, GRAPH, INDEX, JUDGEMENTS, RELATIONS, Artifact, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.data.index import name_cameras, split_rows
from mprd.errors import UserError, did_you_mean
from mprd.pipeline.layout import EpochLayout, RunLayout


def cluster_table(clusters: Path, number: int) -> pd.DataFrame:
    """Return the members of a cluster: path, camera, identity, membership; the surest first.

    Args:
        clusters: `clusters.h5` of a run.
        number: of the cluster; -1: the outliers.

    Raises:
        UserError: there is no such cluster, or the file lies in no run.
    """
    artifact = read_artifact(clusters, CLUSTERS)
    numbers = artifact["number"]
    rows = np.flatnonzero(numbers_of(artifact["labels"], numbers) == number)
    if not len(rows):
        known = f"{numbers.min()} to {numbers.max()}" if len(numbers) else "it has none"
        raise UserError(f"{clusters} has no cluster {number}: {known}.")
    table = _images(clusters, rows)
    table["membership"] = artifact["membership"][rows].round(3)
    return table.sort_values("membership", ascending=False, kind="stable").reset_index(drop=True)


def pair_table(file: Path, image: str) -> pd.DataFrame:
    """Return what the relation GCN said of the pairs of an image, the surest first.

    Args:
        file: `relations.h5` (hard pairs) or `judgements.h5` (all stored pairs) of an epoch.
        image: path of the image as in the index, or the end of it.

    Raises:
        UserError: another kind of file, no such image, or the file lies in no run.
    """
    row = _row_of(file, image)
    if file.name == EpochLayout.relations.name:
        found = read_artifact(file, RELATIONS)
        mine = np.flatnonzero((found["i"] == row) | (found["j"] == row))
        other = np.where(found["i"][mine] == row, found["j"][mine], found["i"][mine])
        more = {
            "p": found["probability"][mine].round(3),
            "one cluster": found["now"][mine] == 1,
            "used": found["kept"][mine] == 1,
            "step": found["step"][mine],
        }
    elif file.name == EpochLayout.judgements.name:
        epoch = EpochLayout(file.parent)
        graph, judged = read_artifact(epoch.graph, GRAPH), read_artifact(file, JUDGEMENTS)
        span = slice(*graph["indptr"][row : row + 2])
        others = graph["indices"][span] != row
        other = graph["indices"][span][others]
        labels = read_artifact(epoch.clusters, CLUSTERS)["labels"]
        more = {
            "p": judged["probability"][span][others].round(3),
            "distance": graph["data"][span][others].round(3),
            "one cluster": (labels[other] == labels[row]) & (labels[row] >= 0),
        }
    else:
        raise UserError(f"--image asks for a relations.h5 or judgements.h5, not {file.name}.")
    table = _images(file, other).assign(**more)
    return table.sort_values("p", ascending=False, kind="stable").reset_index(drop=True)


def _row_of(file: Path, image: str) -> int:
    """Return the training row of an image."""
    index, rows = _train(file)
    paths = [str(path) for path in index["path"][rows]]
    exact = [n for n, path in enumerate(paths) if path == image]
    matching = exact or [n for n, path in enumerate(paths) if path.endswith(f"/{image}")]
    if len(matching) != 1:
        found = f"{len(matching)} training images" if matching else "no training image"
        raise UserError(f"{index.path} holds {found} called '{image}'{did_you_mean(image, paths)}.")
    return matching[0]


def _images(file: Path, train_rows: np.ndarray) -> pd.DataFrame:
    """Return path, camera and identity of some training images of the run of a file."""
    index, rows = _train(file)
    chosen = rows[train_rows]
    table = pd.DataFrame({"path": index["path"][chosen]})
    if (index["camera"] >= 0).any():
        table["camera"] = name_cameras(index, chosen)
    if (index["identity"] >= 0).any():
        table["identity"] = index["identity"][chosen]
    return table


def run_index(file: Path) -> Path | None:
    """Return the `index.h5` of the run that a file lies in; None: it lies in no run."""
    paths = (RunLayout(folder).index for folder in file.resolve().parents)
    return next((path for path in paths if path.is_file()), None)


def _train(file: Path) -> tuple[Artifact, np.ndarray]:
    """Return the index of the run that a file lies in, and its training rows."""
    path = run_index(file)
    if path is None:
        raise UserError(f"{file} lies in no folder of a run: there is no index.h5 above it.")
    index = read_artifact(path, INDEX)
    return index, split_rows(index, "train")
