"""The clusters of images that came to a finished run: known ones, or new ones of strangers.

Decided images are where people put them. Every other image goes to the nearest cluster of the run's
and the decided images if it is as similar to it as its own images are, as `mprd assign` says; those
that are left form clusters among themselves as the run makes its own. So the order in which images
came does not count, and what is decided moves its neighbours, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mprd.artifacts import Artifact
from mprd.clustering.decided import go_on, names_of
from mprd.clustering.numbering import numbers_of
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.config import Config
from mprd.data.added import Added
from mprd.data.index import camera_names, split_rows
from mprd.decisions.entry import Decision
from mprd.decisions.facts import Facts, facts_of
from mprd.decisions.partition import edited
from mprd.errors import UserError
from mprd.inference.known_clusters import Clusters, aligned, mean_evidence, other_side
from mprd.inference.run_times import RunTimes
from mprd.inference.sightings import index_sightings
from mprd.inference.strangers import as_used, own_clusters, sides_of
from mprd.system.csr import entry_rows


@dataclass(frozen=True)
class Compared:
    """Images of a run and added ones, as they are compared.

    Attributes:
        known: float32 (N, D), of the run's images.
        new: float32 (M, D), of the added ones.
    """

    known: np.ndarray
    new: np.ndarray

    @classmethod
    def of(cls, index: Artifact, features: np.ndarray, added: Added, config: Config) -> "Compared":
        """Return features without what cameras share, if the run knows cameras."""
        if config.graph.cameras == "none":
            return cls(features, added["features"])
        cameras = index["camera"][split_rows(index, "train")]
        own = added.cameras(camera_names(index))
        standardize = config.graph.cameras == "standardize"
        both = aligned(features, cameras, added["features"], own, standardize=standardize)
        return cls(*both)


class Placing:
    """Gives added images to clusters."""

    def __init__(
        self,
        index: Artifact,
        clusters: Artifact,
        added: Added,
        compared: Compared,
        config: Config,
        times: RunTimes | None,
    ) -> None:
        """Take what does not depend on decisions.

        Args:
            index: of the run.
            clusters: its final clusters.
            added: the images, with their pairs.
            compared: all images.
            config: of the run.
            times: what the run has learnt of times; None: nothing.
        """
        self._clusters, self._added = clusters, added
        self._compared, self._times = compared, times
        self._settings = as_used(config.cluster, clusters)
        self._own = numbers_of(clusters["labels"], clusters["number"])
        rows = split_rows(index, "train")
        self._tracks = TrackGroups.of_tracks(index["track"][rows])
        self._seen = index_sightings(index, rows, added)
        self._sides = sides_of(self._seen, self._tracks.followed_by(len(added)))
        self.paths = [*map(str, index["path"][rows]), *added.paths]

    def placed(
        self, decisions: list[Decision], shown: Mapping[str, int], following: int
    ) -> tuple[dict[str, np.ndarray], int]:
        """Return number, undecided, name and membership of the images, and the next free number.

        Args:
            decisions: that hold, on images of the run and added ones.
            shown: number of the cluster of each image that people have seen last.
            following: least number of a new cluster.

        Raises:
            UserError: decisions contradict each other.
        """
        facts = facts_of(decisions)
        if facts.contradictions:
            raise UserError(f"Decisions contradict each other: {facts.contradictions[0].words()}")
        count = len(self._own)
        before = self._added["undecided"]
        seen = np.array([shown.get(path, -1) for path in self.paths], np.int64)
        rows = {path: n for n, path in enumerate(self.paths)}
        seen = edited(seen, rows, decisions, self._added.following)  # as pages show it
        following = max(following, int(seen.max(initial=-1)) + 1)
        undecided = self._numbered(self._labels(facts_of([])), before, before, following)
        number = undecided
        if decisions:
            number = self._numbered(self._labels(facts), seen[count:], undecided, following)
        columns = {"number": number, "undecided": undecided, "name": self._names(number, facts)}
        columns["membership"] = self._membership(number)
        largest = max(int(one.max(initial=-1)) for one in (number, undecided))
        return columns, max(following, largest + 1)

    def _labels(self, facts: Facts) -> np.ndarray:
        """Return clusters of the added images: position of a known number, or behind them."""
        count, total = len(self._own), len(self.paths)
        labels = np.full(total, -1)
        known = self._known
        labels[:count] = np.where(self._own < 0, -1, np.searchsorted(known, self._own))
        rows = {path: n for n, path in enumerate(self.paths)}
        fresh = len(known)
        groups = [[rows[path] for path in group] for group in facts.groups()]
        inside = {row for group in groups for row in group}
        single = (rows[path] for path in facts.confirmed)
        groups += [[row] for row in sorted(single) if row not in inside]
        decided = np.zeros(total, bool)
        for group in groups:
            there = [int(labels[row]) for row in group if row < count and labels[row] >= 0]
            new = [row for row in group if row >= count]
            if not new:
                continue
            label, fresh = (there[0], fresh) if there else (fresh, fresh + 1)
            labels[new], decided[new] = label, True
        open_rows = np.flatnonzero(~decided[count:])
        pairs = [(rows[one.first], rows[one.second]) for one in facts.apart]
        apart = np.array([*pairs, *(pair[::-1] for pair in pairs)], np.int64).reshape(-1, 2)
        nearest = self._nearest(labels, open_rows, apart)
        labels[count + open_rows] = nearest
        left = open_rows[nearest < 0]
        place = np.full(total, -1)
        place[count + left] = np.arange(len(left))
        enemies = place[apart][(place[apart] >= 0).all(axis=1)]
        named = np.array([self.paths[count + row] in facts.names for row in left.tolist()], bool)
        sides = Sides(self._sides.of[self._added.places + left])
        own = own_clusters(self._between(left), self._settings, sides, enemies, named)
        labels[count + left] = np.where(own < 0, -1, fresh + own)
        return labels[count:]

    def _nearest(self, labels: np.ndarray, rows: np.ndarray, apart: np.ndarray) -> np.ndarray:
        """Return the known or decided cluster of some added images, -1: similar to none.

        Args:
            labels: int (N + M,), -1: not decided, or an outlier.
            rows: of the added images.
            apart: int (p, 2), images of all that are two identities.
        """
        count, sizes = len(self._own), np.bincount(labels[labels >= 0], minlength=1)
        if not len(rows) or sizes.max() < 2:
            return np.full(len(rows), -1)
        features = np.concatenate([self._compared.known, self._compared.new])
        new, correction = self._seen.of(count + rows), None
        if self._times is not None:
            correction = self._times.correction(mean_evidence(self._times, new, self._seen, labels))
        never = other_side(new, self._seen, labels)
        place = np.full(len(labels), -1)
        place[count + rows] = np.arange(len(rows))
        foes = apart[(place[apart[:, 0]] >= 0) & (labels[apart[:, 1]] >= 0)]
        never[place[foes[:, 0]], labels[foes[:, 1]]] = True
        never[:, sizes == 0] = True
        return Clusters(features, labels).assign(features[count + rows], correction, never).cluster

    def _between(self, rows: np.ndarray) -> csr_array:
        """Return the distances of some added images to each other."""
        pairs = self._added.pairs
        place = np.full(pairs.shape[1], -1)
        place[self._added.places + rows] = np.arange(len(rows))
        row, column = place[self._added.places + entry_rows(pairs.indptr)], place[pairs.indices]
        kept = (row >= 0) & (column >= 0)
        indptr = np.searchsorted(row[kept], np.arange(len(rows) + 1))
        shape = len(rows), len(rows)
        return csr_array((pairs.data[kept], column[kept], indptr), shape=shape)

    @property
    def _known(self) -> np.ndarray:
        """The numbers of the run's clusters, ascending."""
        return np.sort(self._clusters["number"])

    def _numbered(
        self, labels: np.ndarray, shown: np.ndarray, base: np.ndarray, following: int
    ) -> np.ndarray:
        """Return the number of each image's cluster; new clusters keep those of earlier ones."""
        known = self._known
        new = np.where(labels >= len(known), labels - len(known), -1)
        used, place = np.unique(new[new >= 0], return_inverse=True)
        new[new >= 0] = place
        shown, base = (np.where(np.isin(one, known), -1, one) for one in (shown, base))
        following = max(following, int(known.max(initial=-1)) + 1)
        numbers = go_on(new, shown, base, following) if len(used) else np.zeros(0, np.int32)
        result = numbers_of(new, numbers)
        inside = (labels >= 0) & (labels < len(known))
        result[inside] = known[labels[inside]]
        return result.astype(np.int32)

    def _names(self, number: np.ndarray, facts: Facts) -> np.ndarray:
        """Return the name of each image's cluster, "" without one."""
        given = self._clusters.arrays.get("name")
        names = {} if given is None else dict(zip(self._clusters["number"], given, strict=True))
        used, labels = np.unique(number, return_inverse=True)
        strange = np.isin(number, self._known, invert=True) & (number >= 0)
        own = np.array([facts.names.get(path, "") for path in self._added.paths], object)
        new = names_of(np.where(strange, labels, -1), own)
        taken = {str(name) for name in names.values()}
        found = {int(used[n]): name for n, name in enumerate(new) if name not in taken}
        return np.array([str(names.get(n) or found.get(n, "")) for n in number.tolist()], object)

    def _membership(self, number: np.ndarray) -> np.ndarray:
        """Return the mean relation of each added image to the others of its cluster."""
        pairs, tracks = self._added.pairs, self._tracks
        where = np.concatenate([self._own[tracks.first], number])
        sizes = np.concatenate([tracks.sizes, np.ones(len(number), np.int64)])
        row = entry_rows(pairs.indptr)
        me = self._added.places + row
        mates = (pairs.indices != me) & (where[pairs.indices] == number[row]) & (number[row] >= 0)
        weight = sizes[pairs.indices[mates]]
        total = np.bincount(row[mates], (1 - pairs.data[mates]) * weight, len(number))
        every = np.concatenate([self._own, number])
        _, inverse, images = np.unique(every, return_inverse=True, return_counts=True)
        others = images[inverse[len(self._own) :]] - 1
        mean = np.where(number < 0, 0, total / np.maximum(others, 1))
        return mean.clip(0, 1).astype(np.float32)
