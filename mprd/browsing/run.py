"""The images of a finished run, with those that were added, as the page shows them."""

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.browsing.looks import Looks, read_looks
from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.numbering import numbers_of
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.config import load_config
from mprd.data.added import read_added
from mprd.data.images import indexed_images
from mprd.data.index import camera_names, name_identities, name_sides, side_codes, split_rows
from mprd.data.times import time_words
from mprd.decisions.reading import time_made
from mprd.errors import many
from mprd.evidence.run_distance import run_distance
from mprd.inference.sightings import index_sightings
from mprd.inference.strangers import sides_of
from mprd.pipeline.finished import finished_run
from mprd.system.csr import entry_rows


class Run:
    """What does not change while a person decides.

    Attributes:
        clusters: `final/clusters.h5`.
        added: images that came later: the last rows.
        paths: of the training images, then of the added ones, in rows 0..N-1, which all arrays
            share.
        rows: index row of each training image.
        cameras: names; those that only added images have come last.
        tracks: of the images.
        distance: (G, G), of tracks, that the clusters were made from.
    """

    def __init__(self, folder: Path) -> None:
        """Read a finished run.

        Raises:
            UserError: it is not finished, or its files are of different runs.
        """
        self.layout = finished_run(folder)
        self.seen = self._state()
        self.clusters = read_artifact(self.layout.final.clusters, CLUSTERS)
        self.index = read_artifact(self.layout.index, INDEX)
        self.added = read_added(self.layout, self.clusters)
        self.rows = split_rows(self.index, "train")
        own = [str(path) for path in self.index["path"][self.rows]]
        self.paths = [*own, *self.added.paths]
        self.place = {path: row for row, path in enumerate(self.paths)}
        known = camera_names(self.index)
        self.cameras = list(dict.fromkeys([*known, *filter(None, self.added["camera"])]))
        tracks = TrackGroups.of_tracks(self.index["track"][self.rows])
        config = load_config(self.layout.config)
        sides = Sides.of_tracks(side_codes(self.index, self.rows), tracks)
        distance = run_distance(self.clusters, self.layout, config, tracks, sides)
        self.tracks = tracks.followed_by(len(self.added))
        self.distance = _with_pairs(distance, self.added.pairs) if len(self.added) else distance

    def _state(self) -> tuple[int, ...]:
        files = (self.layout.final.clusters, self.layout.final.added)
        return tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)

    @property
    def is_old(self) -> bool:
        """Whether the clusters were made again since, as by `mprd apply`, or images were added."""
        return self._state() != self.seen

    @cached_property
    def relation(self) -> csr_array:
        """1 - distance, (G, G)."""
        return relation_of(self.distance)

    @cached_property
    def looks(self) -> Looks | None:
        """How alike the images look; None: nobody kept their embeddings."""
        each = TrackGroups.of_tracks(np.full(len(self.paths), -1))
        sides = sides_of(index_sightings(self.index, self.rows, self.added), each)
        config = load_config(self.layout.config)
        return read_looks(self.layout, config, self.index, self.clusters, self.added, sides)

    @cached_property
    def made(self) -> str:
        """When the clusters were made, as times of decisions are written."""
        return time_made(self.layout.final.clusters)

    @property
    def files(self) -> list[Path]:
        """The image file of each row; who opens one compares its bytes with `sums`.

        Raises:
            UserError: one lies outside of the folder of the images.
        """
        files = indexed_images(self.index, load_config(self.layout.config))
        return [*(files[row] for row in self.rows.tolist()), *self.added.locations(self.index)]

    @cached_property
    def version(self) -> str:
        """Tells these images from others: rows mean the same as long as it is the same."""
        return hashlib.sha256("".join(self.sums).encode()).hexdigest()[:12]

    @property
    def sums(self) -> list[str]:
        """The SHA-256 of each file."""
        return [str(one) for one in (*self.index["sha256"][self.rows], *self.added["sha256"])]

    @property
    def numbers(self) -> np.ndarray:
        """The number of each image's cluster, without decisions that are not applied."""
        own = numbers_of(self.clusters["labels"], self.clusters["number"])
        return np.concatenate([own, self.added["number"]])

    @cached_property
    def camera(self) -> np.ndarray:
        """The camera of each image, its place in `cameras`; -1 unknown."""
        own = self.index["camera"][self.rows].astype(np.int64)
        return np.concatenate([own, self.added.cameras(self.cameras)])

    @cached_property
    def time(self) -> np.ndarray:
        """When each image was taken, NaN unknown."""
        return np.concatenate([self.index["time"][self.rows].astype(float), self.added["time"]])

    def facts(self) -> dict[str, Any]:
        """Return what the page has to know of all images, once."""
        unit = str(self.index.attributes["time_unit"])
        known = np.unique(self.time[~np.isnan(self.time)]).tolist()
        ends = [time_words(one, unit) for one in (*known[:1], *known[-1:])]
        return {
            "paths": self.paths,
            "camera": self.camera.tolist(),
            "cameras": self.cameras,
            "time": [None if value != value else value for value in self.time.tolist()],
            "dated": bool(ends) and ends[0][:1].isdigit() and ":" in ends[0],
            "ends": ends,
            "track": self.tracks.group.tolist(),
            "added": len(self.added),
            "version": self.version,
        }

    def words(self, row: int) -> Iterator[tuple[str, str]]:
        """Yield camera, time, side and identity of an image, where they are known."""
        if (camera := int(self.camera[row])) >= 0:
            yield "camera", self.cameras[camera]
        if (time := float(self.time[row])) == time:
            yield "time", time_words(time, str(self.index.attributes["time_unit"]))
        if (later := row - len(self.rows)) >= 0:
            if side := self.added["side"][later]:
                yield "side", str(side)
            yield "added", f"by call {self.added['batch'][later]} of mprd add"
            return
        there = int(self.rows[row])
        if side := name_sides(self.index, np.array([there]))[0]:
            yield "side", str(side)
        if self.index["identity"][there] >= 0:
            yield "identity", str(name_identities(self.index, np.array([there]))[0])
        mates = int(self.tracks.sizes[self.tracks.group[row]])
        if mates > 1:
            yield "track", f"{many(mates, 'image')}, which stay together"


def _with_pairs(distance: csr_array, pairs: csr_array) -> csr_array:
    """Return distances with those of added images, which are the last rows and columns.

    Args:
        distance: (G, G).
        pairs: (M, G + M), symmetric among the last M.
    """
    count, total = distance.shape[0], pairs.shape[1]
    row, column = count + entry_rows(pairs.indptr), pairs.indices.astype(np.int64)
    up = column < count  # these stand below the diagonal only
    rows = np.concatenate([entry_rows(distance.indptr), row, column[up]])
    columns = np.concatenate([distance.indices, column, row[up]])
    data = np.concatenate([distance.data, pairs.data, pairs.data[up]])
    order = np.lexsort((columns, rows))
    indptr = np.searchsorted(rows[order], np.arange(total + 1))
    return csr_array((data[order], columns[order], indptr), shape=(total, total))
