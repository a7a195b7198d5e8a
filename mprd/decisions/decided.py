"""What people decided about the images of a run, as its clusters take it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.constraints import Constraints, ContradictionError
from mprd.clustering.decided import constrained, decided_cut, go_on
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.config import ClusterConfig
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.facts import Facts, facts_of
from mprd.decisions.partition import edited
from mprd.decisions.reading import decisions_on, is_log, places, within
from mprd.decisions.through import through
from mprd.errors import UserError, many, say

if TYPE_CHECKING:  # slow to load, and only linkage uses it
    from mprd.clustering.linkage import LinkageTree


@dataclass(frozen=True)
class Decided:
    """Decisions on the training images of a run.

    Attributes:
        decisions: that hold, on images of the run.
        facts: what follows from them.
        constraints: the same for tracks.
        paths: of the images.
        tracks: of the images.
        everything: the decisions that hold, on images that were added to the run, too.
    """

    decisions: list[Decision]
    facts: Facts
    constraints: Constraints
    paths: np.ndarray
    tracks: TrackGroups
    everything: list[Decision]

    @property
    def names(self) -> np.ndarray:
        """The name of each image's identity, object (N,), "" unknown."""
        return np.array([self.facts.names.get(str(path), "") for path in self.paths], object)

    @property
    def alone(self) -> np.ndarray:
        """Which tracks are a cluster even if they are alone: named or confirmed, bool (G,)."""
        sure = self.facts.confirmed.union(self.facts.names)
        found = np.zeros(len(self.tracks.first), bool)
        found[self.tracks.group[[str(path) in sure for path in self.paths]]] = True
        return found

    def hold(self, labels: np.ndarray, relation: csr_array) -> np.ndarray:
        """Return labels int (G,) of any clustering in which the decisions hold."""
        return constrained(labels, relation, self.constraints, self.tracks.sizes, self.alone)

    def linked(
        self, distance: csr_array, settings: ClusterConfig, sides: Sides
    ) -> tuple[np.ndarray, "LinkageTree"]:
        """Return average linkage under the decisions: labels int (G,), and the tree of the images.

        Clusters of two sides are joined only where a person said so.

        Args:
            distance: (G, G), of tracks.
            settings: threshold and min_size.
            sides: of the tracks.
        """
        from mprd.clustering.linkage import linkage_tree

        tree = linkage_tree(distance, constraints=self.constraints, sides=sides.of)
        cut = tree, settings.threshold, settings.min_size
        labels = decided_cut(*cut, self.constraints, self.tracks.sizes, self.alone)
        return labels, replace(tree, group=self.tracks.group)

    def numbers(
        self,
        labels: np.ndarray,
        base: np.ndarray,
        shown: Mapping[str, int],
        following: int = 0,
    ) -> np.ndarray:
        """Return a number for each cluster, int32 (K,).

        Args:
            labels: int (N,), with the decisions.
            base: int (N,), numbers without decisions.
            shown: number of the cluster of each image that was shown last, added ones too; -1
                outlier.
            following: least number of a new cluster.
        """
        paths = list(dict.fromkeys([*map(str, self.paths), *shown]))
        rows = {path: n for n, path in enumerate(paths)}
        before = np.array([shown.get(path, -1) for path in paths], np.int64)
        after = edited(before, rows, self.everything, following)
        return go_on(labels, after[: len(self.paths)], base, following)


def read_decided(
    given: Path | None,
    log: Path | None,
    images: np.ndarray,
    tracks: TrackGroups,
    added: Sequence[str] = (),
    *,
    labels: np.ndarray,
) -> Decided | None:
    """Read decisions on training images and draw their consequences for tracks.

    Args:
        given: log or table of judged pairs that a user names; each image must be there.
        log: of the run itself; images that are not there any more are passed over, with a note.
        images: paths of the training images.
        tracks: of these images; a decision on an image holds for its track.
        added: paths of images that were added to the run: what is said of them counts as far as it
            says something of its own images.
        labels: int (N,), clusters without decisions, -1 outlier.

    Returns:
        The decisions; None: there are none.

    Raises:
        UserError: a file cannot be read, or decisions exclude each other or a track; names them.
    """
    paths = [str(image) for image in images]
    decisions: list[Decision] = []
    if given is not None and not is_log(given):
        decisions += _pairs(given, paths, tracks)
    elif given is not None:
        found, missing = decisions_on(given, paths)
        if missing:
            raise UserError(
                f"{given} names {many(missing, 'image')} not among the training images here."
            )
        decisions += found
    everything = list(decisions)
    if log is not None and log.is_file():
        inside = places(added, paths)  # they came into the run
        added = [path for path in added if path not in inside]
        found, missing = decisions_on(log, [*paths, *added])
        if missing:
            say(f"note: passed over {many(missing, 'image')} of {log} not in this run.")
        everything += found
        clusters = dict(zip(paths, labels.tolist(), strict=True))
        decisions += [*within(found, paths), *through(found, clusters)] if added else found
    if not everything:
        return None
    return replace(decided_on(decisions, images, tracks, given or log), everything=everything)


def decided_on(
    decisions: Sequence[Decision],
    images: np.ndarray,
    tracks: TrackGroups,
    source: Path | None = None,
) -> Decided:
    """Draw the consequences of decisions for tracks.

    Args:
        decisions: that hold, in their order, on these images.
        images: paths of the training images.
        tracks: of these images; a decision on an image holds for its track.
        source: the file, named in errors.

    Raises:
        UserError: they exclude each other, or a track; names them.
    """
    paths = [str(image) for image in images]
    facts = facts_of(decisions)
    if facts.contradictions:
        raise UserError(f"Decisions contradict each other: {facts.contradictions[0].words()}")
    statements = [*facts.links, *facts.apart]
    place = {path: n for n, path in enumerate(paths)}
    pairs = np.array([[place[s.first], place[s.second]] for s in statements], np.int64)
    same = np.arange(len(statements)) < len(facts.links)
    constraints = _of_tracks(pairs, same, paths, tracks, source)
    return Decided(list(decisions), facts, constraints, images, tracks, list(decisions))


def _pairs(path: Path, paths: list[str], tracks: TrackGroups) -> list[Decision]:
    """Return the decisions of a table of judged pairs, checked among themselves."""
    from mprd.decisions.answers import read_answers  # pandas is slow to load

    pairs, same = read_answers(path, {one: n for n, one in enumerate(paths)})
    _of_tracks(pairs, same, paths, tracks, path)
    kinds = [Kind.SAME if yes else Kind.DIFFERENT for yes in same.tolist()]
    return [
        Decision(kind, (paths[a],), (paths[b],), source=str(path))
        for (a, b), kind in zip(pairs.tolist(), kinds, strict=True)
    ]


def _of_tracks(
    pairs: np.ndarray, same: np.ndarray, paths: list[str], tracks: TrackGroups, source: Path | None
) -> Constraints:
    """Return what pairs of images say of tracks.

    Raises:
        UserError: they exclude each other, or a track.
    """
    pairs = pairs.reshape(-1, 2)
    ends = tracks.group[pairs]
    broken = np.flatnonzero(~same & (ends[:, 0] == ends[:, 1]))
    if len(broken):
        one, other = (paths[row] for row in pairs[broken[0]])
        raise UserError(
            f"{source} says that {one} and {other} are different, but they are of one track "
            "(data.track). Correct the answer, or the track."
        )
    try:
        return Constraints.of_answers(len(tracks.first), ends, same)
    except ContradictionError as error:
        names = [paths[tracks.first[row]] for row in error.chain]
        raise UserError(
            f"{source} contradicts itself: {names[0]} and {names[-1]} are said to be different, "
            f"but the same follows from {' = '.join(names)}. Correct one of these answers."
        ) from None
