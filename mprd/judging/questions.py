"""The pairs of a finished run that are most worth judging, planned anew as answers come in."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.clustering.graph_matrix import relation_of
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.config import load_config
from mprd.data.index import name_cameras, side_codes, split_rows
from mprd.decisions.decided import Decided, decided_on
from mprd.decisions.entry import PAIRS, Decision, Kind
from mprd.decisions.reading import decisions_on
from mprd.evidence.run_distance import run_distance
from mprd.judging.groups import Answers
from mprd.judging.session import Shown
from mprd.judging.worth import Curve, Question, worthwhile
from mprd.pipeline.finished import finished_run

_UNCERTAIN = 0.75  # mean distance where a clustering without a threshold is unsure


class Planner:
    """Knows the clusters of a run, and what to ask next."""

    def __init__(self, run: Path) -> None:
        """Read a run.

        Args:
            run: its folder.

        Raises:
            UserError: the run is not finished.
        """
        layout = finished_run(run)
        self._config = load_config(layout.config)
        clusters = read_artifact(layout.final.clusters, CLUSTERS)
        index = read_artifact(layout.index, INDEX)
        self._rows = split_rows(index, "train")
        self._paths = index["path"][self._rows]
        self._cameras = name_cameras(index, self._rows)
        self._tracks = TrackGroups.of_tracks(index["track"][self._rows])
        self._side_codes = side_codes(index, self._rows)
        self._sides = Sides.of_tracks(self._side_codes, self._tracks)
        known = self._config, self._tracks, self._sides
        self._distance = run_distance(clusters, layout, *known)
        self._relation = relation_of(self._distance)
        self._labels = clusters["labels"][self._tracks.first]
        self._facts: dict[frozenset[str], np.ndarray] = {}

    def next(self, log: Path | None, count: int) -> list[Shown]:
        """Return the pairs to judge next, the most worthwhile first.

        Args:
            log: of decisions; None: there are none yet.
            count: most pairs.

        Raises:
            UserError: decisions contradict each other.
        """
        decisions = decisions_on(log, list(map(str, self._paths)))[0] if log else []
        decided = decided_on(decisions, self._paths, self._tracks)
        labels = self._clusters(decided)
        settings = self._config.cluster
        threshold = settings.threshold if settings.method == "linkage" else _UNCERTAIN
        asked = {frozenset((*one.images, *one.others)) for one in decisions if one.kind in PAIRS}
        found = worthwhile(
            labels,
            self._relation,
            decided.constraints,
            self._answers(decisions),
            count + len(asked),
            self._curve(decisions),
            threshold,
            self._tracks.sizes,
            self._side_codes[self._tracks.first],
        )
        shown = [self._shown(one) for one in found]
        return [one for one in shown if frozenset(one.paths) not in asked][:count]

    def _clusters(self, decided: Decided) -> np.ndarray:
        """Return the clusters of the tracks, with the decisions."""
        if self._config.cluster.method == "linkage":
            return decided.linked(self._distance, self._config.cluster, self._sides)[0]
        return decided.hold(self._labels, self._relation)

    def _answers(self, decisions: Sequence[Decision]) -> Answers:
        """Return the judged pairs, as rows of tracks."""
        judged = [one for one in decisions if one.kind in (Kind.SAME, Kind.DIFFERENT)]
        place = {str(path): self._tracks.group[n] for n, path in enumerate(self._paths)}
        pairs = [(place[one.images[0]], place[one.others[0]]) for one in judged]
        same = [one.kind is Kind.SAME for one in judged]
        return Answers(np.array(pairs, np.int64).reshape(-1, 2), np.array(same, bool))

    def _curve(self, decisions: Sequence[Decision]) -> Curve:
        """Return the curve that fits the answers to pairs of this planner."""
        known = [
            (facts, one.kind is Kind.SAME)
            for one in decisions
            if one.kind in (Kind.SAME, Kind.DIFFERENT)
            and (facts := self._facts.get(frozenset((*one.images, *one.others)))) is not None
        ]
        if not known:
            return Curve()
        facts, same = zip(*known, strict=True)
        return Curve.fitted(np.stack(facts), np.array(same))

    def _shown(self, question: Question) -> Shown:
        rows = self._tracks.first[[question.a, question.b]].tolist()
        first, second = (str(self._paths[row]) for row in rows)
        self._facts[frozenset((first, second))] = question.facts
        cameras = tuple(str(self._cameras[row]) for row in rows)
        return Shown(
            paths=(first, second),
            cameras=(cameras[0], cameras[1]),
            rows=(int(self._rows[rows[0]]), int(self._rows[rows[1]])),
            moves=question.moves,
        )


def questions(run: Path, count: int) -> list[Shown]:
    """Return the pairs of a finished run that are most worth judging, before any answer.

    Args:
        run: its folder.
        count: most of them.

    Raises:
        UserError: the run is not finished.
    """
    return Planner(run).next(None, count)
