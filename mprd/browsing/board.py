"""The clusters of a run with the decisions so far: what the page of `mprd browse` shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mprd.browsing.history import redone_next, undone_next
from mprd.browsing.near import Near, near_clusters
from mprd.browsing.run import Run
from mprd.clustering.decided import names_of
from mprd.clustering.membership import membership
from mprd.decisions.entry import Decision
from mprd.decisions.facts import Contradiction, Facts, facts_of
from mprd.decisions.log import DecisionLog, in_effect
from mprd.decisions.partition import edited
from mprd.decisions.reading import is_later, matched
from mprd.report.page.doubt import doubt

_NEAREST, _SIMILAR, _NEIGHBOURS = 3, 5, 12  # clusters of an image, of a cluster; images


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
        numbers = edited(run.numbers, run.place, decisions, run.added.following)
        return cls(run, entries, decisions, facts_of(decisions), numbers)

    @property
    def revision(self) -> str:
        """Tells this moment from others."""
        last = self.entries[-1].entry if self.entries else 0
        return f"{last}-{'-'.join(map(str, self.run.seen))}"

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
        """The nearest clusters of outliers, of added images that wait, and of clusters."""
        apart = [(self.run.place[s.first], self.run.place[s.second]) for s in self.facts.apart]
        foes = np.array(apart, np.int64).reshape(-1, 2)
        asked = np.concatenate([np.flatnonzero(self.labels < 0), self.waiting])
        return near_clusters(
            self.run.relation,
            self.run.looks,
            self.labels,
            self.run.tracks,
            foes,
            np.unique(asked),
            of_cluster=_SIMILAR,
            of_image=_NEAREST,
        )

    @cached_property
    def waiting(self) -> np.ndarray:
        """Rows of the added images whose identity nobody confirmed yet, ascending."""
        said = self.facts.confirmed.union(*self.facts.groups())
        first = len(self.run.rows)
        return np.array(
            [first + n for n, path in enumerate(self.run.added.paths) if path not in said], np.int64
        )

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
        waiting = [one for one in log if is_later(one, self.run.made)]
        return {
            "revision": self.revision,
            "version": self.run.version,
            "numbers": self.numbers.tolist(),
            "relation": self.relation.round(3).tolist(),
            "known": self.known.tolist(),
            "doubt": doubt(self.relation, self.labels).round(3).tolist(),
            "names": self.names.tolist(),
            "confirmed": self.confirmed.tolist(),
            "near": self._numbered(self.near.of_clusters),
            "outliers": self._near_of(np.flatnonzero(self.labels < 0)),
            "added": self._near_of(self.waiting),
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

    def near_numbers(self, row: int) -> list[int]:
        """Return the clusters that a picture is shown with: its own, and the nearest ones."""
        own = int(self.numbers[row])
        near = self.near.of_images.get(row)
        if near is None:
            near = self.near.of_clusters[int(self.labels[row])]
        return [*([own] if own >= 0 else []), *(int(self.known[k]) for k, _ in near)]

    def _near_of(self, rows: np.ndarray) -> dict[str, list[tuple[int, float]]]:
        """Return the nearest clusters of images, its own among them."""
        near = self._numbered([self.near.of_images[row] for row in rows.tolist()])
        return dict(zip(map(str, rows.tolist()), near, strict=True))

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
