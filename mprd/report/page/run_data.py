"""What a report reads of a run: each file at most once, and only when it is asked for."""

from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS, FEATURES, GRAPH, INDEX, JUDGEMENTS, Artifact, read_artifact
from mprd.artifacts.disk import open_hdf5
from mprd.artifacts.plain_hdf5 import text_attribute
from mprd.clustering.graph_matrix import graph_distance, relation_of
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config, load_config
from mprd.data.index import camera_names, split_rows
from mprd.errors import visible
from mprd.graph.cameras import align_cameras
from mprd.pipeline.finished import finished_run
from mprd.pipeline.layout import FIRST_EPOCH, epoch_name
from mprd.report.page.doubt import Nearest, nearest_clusters
from mprd.report.page.thumbnails import Thumbnails
from mprd.report.tables import read_table


class RunData:
    """A finished run.

    Rows are those of the training images, 0 to N - 1, unless a name says `index`.
    """

    def __init__(self, folder: Path) -> None:
        """Look at a run.

        Raises:
            UserError: it is not finished.
        """
        self.layout = finished_run(folder)
        self._labels: dict[int, np.ndarray] = {}

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.layout.folder.name

    @cached_property
    def config(self) -> Config:
        """Its settings."""
        return load_config(self.layout.config)

    @cached_property
    def table(self) -> pd.DataFrame:
        """`metrics.csv`."""
        return read_table(self.layout.table)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """The rows of the table that are epochs, with the number in `epoch`."""
        rows = self.table[self.table["model"].str.isdecimal()]
        return rows.assign(epoch=rows["model"].astype(int)).reset_index(drop=True)

    @property
    def last(self) -> pd.Series:
        """The row of the last epoch; of a run that trains nothing that of its clusters."""
        return self.table.iloc[-1]

    @cached_property
    def index(self) -> Artifact:
        """All images."""
        return read_artifact(self.layout.index, INDEX)

    @cached_property
    def rows(self) -> np.ndarray:
        """Index rows of the training images, int64 (N,)."""
        return split_rows(self.index, "train")

    @cached_property
    def identity(self) -> np.ndarray:
        """Identity of each training image, -1 unknown."""
        return self.index["identity"][self.rows]

    @cached_property
    def camera(self) -> np.ndarray:
        """Camera of each training image, -1 unknown."""
        return self.index["camera"][self.rows]

    @cached_property
    def camera_names(self) -> list[str]:
        """Name of each camera 0, 1, ..."""
        return [visible(name) for name in camera_names(self.index)]

    @cached_property
    def clusters(self) -> Artifact:
        """The clusters of the final model."""
        return read_artifact(self.layout.final.clusters, CLUSTERS)

    @property
    def labels(self) -> np.ndarray:
        """Cluster of each training image, -1 outlier."""
        return self.clusters["labels"]

    def number(self, label: int) -> int:
        """Return what people call a cluster, as in `clusters.csv`; -1 for outliers."""
        return int(self.clusters["number"][label]) if label >= 0 else -1

    @cached_property
    def start_clusters(self) -> Artifact | None:
        """The clusters before training; None: the run trains nothing."""
        if not self.config.epochs:
            return None
        return read_artifact(self.layout.epoch(FIRST_EPOCH).clusters, CLUSTERS)

    @property
    def labels_before(self) -> np.ndarray | None:
        """The clusters that the last epoch trained on; None: the run trains nothing."""
        return self.labels_of(self.config.epochs) if self.config.epochs else None

    def labels_of(self, epoch: int) -> np.ndarray:
        """Return the clusters that an epoch trained on."""
        if epoch not in self._labels:
            path = self.layout.epoch(epoch).clusters
            self._labels[epoch] = read_artifact(path, CLUSTERS, ("labels",))["labels"]
        return self._labels[epoch]

    @cached_property
    def graph(self) -> Artifact:
        """Neighbours and distances of the final model."""
        return read_artifact(self.layout.final.graph, GRAPH)

    @cached_property
    def distance(self) -> csr_array:
        """Jaccard distances of the final model, (N, N)."""
        return graph_distance(self.graph)

    @cached_property
    def judgements(self) -> np.ndarray | None:
        """The last relation GCN's p of each stored pair; None: clusters are not judged."""
        if not self.config.uses_judgements:
            return None
        return read_artifact(self.layout.final.judgements, JUDGEMENTS)["probability"]

    @cached_property
    def tracks(self) -> TrackGroups:
        """Which training images share a place in the graph."""
        return TrackGroups.of_tracks(self.index["track"][self.rows])

    @cached_property
    def nearest(self) -> Nearest:
        """The nearest cluster of each training image, its own excepted."""
        p = self.judgements
        shape = self.distance.shape
        relation = (
            relation_of(self.distance)
            if p is None
            else csr_array((p, self.distance.indices, self.distance.indptr), shape=shape)
        )
        return nearest_clusters(relation, self.labels, self.tracks)

    @cached_property
    def aligned(self) -> np.ndarray:
        """Embeddings of the final model as they were compared: without what cameras share."""
        features = read_artifact(self.layout.final.features, FEATURES)["features"]
        return align_cameras(features, self.camera, self.config.graph.cameras)

    @cached_property
    def thumbnails(self) -> Thumbnails:
        """Pictures of index rows."""
        return Thumbnails(self.layout.pixels)

    @property
    def last_evaluation(self) -> Path | None:
        """Rankings of the last model; None: there is none."""
        path = self.layout.rankings(epoch_name(self.config.epochs))
        return path if path.is_file() else None


def created(path: Path) -> str:
    """Return when an HDF5 artifact was written; "": it does not say."""
    with open_hdf5(path) as file:
        said = text_attribute(file, "created")
    try:
        return f"{datetime.fromisoformat(said):%Y-%m-%d %H:%M %Z}"
    except ValueError:
        return ""
