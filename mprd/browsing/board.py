"""The clusters of a run with the decisions so far: what the page of `mprd browse` shows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.browsing.history import redone_next, undone_next
from mprd.browsing.near import Near, near_clusters
from mprd.clustering.decided import names_of
from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.membership import membership
from mprd.clustering.numbering import numbers_of
from mprd.clustering.tracks import TrackGroups
from mprd.config import load_config
from mprd.data.index import camera_names, name_identities, split_rows
from mprd.data.times import time_words
from mprd.decisions.entry import Decision
from mprd.decisions.facts import Contradiction, Facts, facts_of
from mprd.decisions.log import DecisionLog, in_effect
from mprd.decisions.partition import edited
from mprd.decisions.reading import matched, time_made
from mprd.errors import many
from mprd.evidence.run_distance import run_distance
from mprd.pipeline.finished import finished_run
from mprd.report.page.doubt import doubt

_NEAREST, _NEIGHBOURS = 3, 12


class Run:
    """What does not change while a person decides.

    Attributes:
        clusters: `final/clusters.h5`.
        paths: of the training images, in rows 0..N-1, which all arrays share.
        rows: index row of each.
        tracks: of the images.
        distance: (G, G), of tracks, that the clusters were made from.
    """

    def __init__(self, folder: Path) -> None:
        """Read a finished run.

        Raises:
            UserError: it is not finished, or its files are of different runs.
        """
        self.layout = finished_run(folder)
        self.seen = self.layout.final.clusters.stat().st_mtime_ns
        self.clusters = read_artifact(self.layout.final.clusters, CLUSTERS)
        self.index = read_artifact(self.layout.index, INDEX)
        self.rows = split_rows(self.index, "train")
        self.paths = [str(path) for path in self.index["path"][self.rows]]
        self.place = {path: row for row, path in enumerate(self.paths)}
        self.tracks = TrackGroups.of_tracks(self.index["track"][self.rows])
        config = load_config(self.layout.config)
        self.distance = run_distance(self.clusters, self.layout, config, self.tracks)

    @property
    def is_old(self) -> bool:
        """Whether the clusters were made again since, as by `mprd apply`."""
        return self.layout.final.clusters.stat().st_mtime_ns != self.seen

    @cached_property
    def relation(self) -> csr_array:
        """1 - distance, (G, G)."""
        return relation_of(self.distance)

    @cached_property
    def made(self) -> str:
        """When the clusters were made, as times of decisions are written."""
        return time_made(self.layout.final.clusters)

    def facts(self) -> dict[str, Any]:
        """Return what the page has to know of all images, once."""
        time = self.index["time"][self.rows].astype(float)
        camera = self.index["camera"][self.rows]
        unit = str(self.index.attributes["time_unit"])
        known = np.unique(time[~np.isnan(time)]).tolist()
        ends = [time_words(one, unit) for one in (*known[:1], *known[-1:])]
        return {
            "paths": self.paths,
            "camera": camera.tolist(),
            "cameras": camera_names(self.index),
            "time": [None if value != value else value for value in time.tolist()],
            "dated": bool(ends) and ends[0][:1].isdigit() and ":" in ends[0],
            "ends": ends,
            "track": self.tracks.group.tolist(),
        }

    def words(self, row: int) -> Iterator[tuple[str, str]]:
        """Yield camera, time and identity of an image, where they are known."""
        index, there = self.index, int(self.rows[row])
        if (camera := int(index["camera"][there])) >= 0:
            yield "camera", camera_names(index)[camera]
        if (time := float(index["time"][there])) == time:
            yield "time", time_words(time, str(index.attributes["time_unit"]))
        if index["identity"][there] >= 0:
            yield "identity", str(name_identities(index, np.array([there]))[0])
        mates = int(self.tracks.sizes[self.tracks.group[row]])
        if mates > 1:
            yield "track", f"{many(mates, 'image')}, which stay together"


@dataclass(frozen=True)
class Board:
    """Clusters as the decisions of one moment leave them.

    Attributes:
        run: the run.
        entries: of the log.
        decisions: that hold, on images of the run.
        facts: what follows from them.
        numbers: int (N,), of the cluster of each image, -1 outlier.
    """

    run: Run
    entries: list[Decision]
    decisions: list[Decision]
    facts: Facts
    numbers: np.ndarray

    @classmethod
    def of(cls, run: Run, log: DecisionLog) -> "Board":
        """Return the clusters as they are now."""
        entries = log.entries
        decisions, _ = matched(in_effect(entries), run.paths)
        before = numbers_of(run.clusters["labels"], run.clusters["number"])
        numbers = edited(before, run.place, decisions)
        return cls(run, entries, decisions, facts_of(decisions), numbers)

    @property
    def revision(self) -> str:
        """Tells this moment from others."""
        last = self.entries[-1].entry if self.entries else 0
        return f"{last}-{self.run.seen}"

    def members(self, number: int) -> np.ndarray:
        """Return the rows of a cluster."""
        return np.flatnonzero(self.numbers == number)

    @cached_property
    def labels(self) -> np.ndarray:
        """Position of each image's cluster in `known`, -1 outlier."""
        return np.where(self.numbers < 0, -1, np.searchsorted(self.known, self.numbers))

    @cached_property
    def known(self) -> np.ndarray:
        """The numbers of all clusters, ascending."""
        found = np.unique(self.numbers)
        return found[found >= 0]

    @cached_property
    def relation(self) -> np.ndarray:
        """Mean relation of each image to the others of its cluster, float32 (N,)."""
        tracks = self.run.tracks
        return membership(self.run.distance, self.labels[tracks.first], tracks.sizes)[tracks.group]

    @cached_property
    def near(self) -> Near:
        """The nearest clusters of outliers, and of clusters."""
        apart = [(self.run.place[s.first], self.run.place[s.second]) for s in self.facts.apart]
        foes = np.array(apart, np.int64).reshape(-1, 2)
        return near_clusters(self.run.relation, self.labels, self.run.tracks, _NEAREST, foes)

    @property
    def names(self) -> np.ndarray:
        """The name of each cluster of `known`."""
        given = [self.facts.names.get(path, "") for path in self.run.paths]
        return names_of(self.labels, np.array(given, object))

    @property
    def confirmed(self) -> np.ndarray:
        """Which clusters of `known` a person confirmed, bool."""
        sure = np.array([path in self.facts.confirmed for path in self.run.paths])
        inside = self.labels >= 0
        left = np.bincount(self.labels[inside], ~sure[inside], len(self.known))
        return left == 0

    def state(self) -> dict[str, Any]:
        """Return what the page shows, apart from pictures."""
        log = self.entries
        undo, redo = undone_next(log), redone_next(log)
        waiting = [one for one in log if one.time > self.run.made]
        return {
            "revision": self.revision,
            "numbers": self.numbers.tolist(),
            "relation": self.relation.round(3).tolist(),
            "known": self.known.tolist(),
            "doubt": doubt(self.relation, self.labels).round(3).tolist(),
            "names": self.names.tolist(),
            "confirmed": self.confirmed.tolist(),
            "near": self._numbered(self.near.of_clusters),
            "outliers": {
                str(row): near
                for row, near in zip(
                    np.flatnonzero(self.labels < 0).tolist(),
                    self._numbered(self.near.of_outliers),
                    strict=True,
                )
            },
            "undo": undo and {"entry": undo.entry, "words": undo.words()},
            "redo": redo and {"entry": redo.entry, "words": redo.words()},
            "decisions": len(in_effect(log)),
            "waiting": len(waiting),
            "contradictions": [said(one, self.run.place) for one in self.facts.contradictions],
        }

    def image(self, row: int) -> dict[str, Any]:
        """Return what is said beside a large picture."""
        group = self.run.tracks.group[row]
        start, end = self.run.relation.indptr[group : group + 2]
        other = self.run.relation.indices[start:end]
        near = self.run.relation.data[start:end]
        order = [n for n in np.argsort(-near, kind="stable") if other[n] != group and near[n] > 0]
        return {
            "row": row,
            "path": self.run.paths[row],
            "facts": list(self.run.words(row)),
            "neighbours": [
                [int(self.run.tracks.first[other[n]]), round(float(near[n]), 3)]
                for n in order[:_NEIGHBOURS]
            ],
        }

    def _numbered(self, near: list[list[tuple[int, float]]]) -> list[list[tuple[int, float]]]:
        return [[(int(self.known[k]), round(value, 3)) for k, value in one] for one in near]


def said(contradiction: Contradiction, place: Mapping[str, int]) -> dict[str, Any]:
    """Return a contradiction as the page shows it: in words, in pictures, and each decision.

    Args:
        contradiction: decisions that cannot hold together.
        place: row of each image by its path.
    """
    entries = [{"entry": one.entry, "words": one.words()} for one in contradiction.entries]
    rows = [place[path] for path in contradiction.chain if path in place]
    return {"words": contradiction.words(), "rows": rows, "entries": entries}
