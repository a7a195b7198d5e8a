"""How many individuals a run shows: what is to be checked, what was, and the number."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, Artifact, read_artifact
from mprd.clustering.audit_estimate import Estimate
from mprd.clustering.counting import count_estimate, count_sample, stratum_of, unit_value, units_of
from mprd.clustering.numbering import numbers_of
from mprd.config import load_config
from mprd.data.index import name_sides, split_rows
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.facts import facts_of
from mprd.decisions.partition import edited
from mprd.decisions.reading import decisions_on
from mprd.decisions.replay import Roots, standing
from mprd.errors import UserError, or_fault, pasted
from mprd.judging.audit_session import free_name
from mprd.judging.count_file import Counted, read_count, write_count
from mprd.pipeline.finished import finished_run
from mprd.pipeline.layout import RunLayout

_WHOLE = (Kind.MERGE, Kind.CONFIRM, Kind.SPLIT)


@dataclass(frozen=True)
class Count:
    """A count under way, or its result.

    Attributes:
        side: that is counted; "": any.
        checked: units that were checked.
        checks: units to check.
        open: images of each unit that is left, in order.
        value: the number of individuals; None: checks are missing.
    """

    side: str
    checked: int
    checks: int
    open: list[list[str]]
    value: Estimate | None

    def words(self) -> str:
        """Return in a sentence how far it is, or the number."""
        side = f", seen from the side {self.side}" if self.side else ""
        if self.value is None:
            return f"count under way, {self.checked} of {self.checks} checked{side}"
        if self.value.low == self.value.high:
            return f"{self.value.low:.0f} individuals{side}; everything was checked"
        return (
            f"about {self.value.value:.0f} individuals ({self.value.low:.0f} to "
            f"{self.value.high:.0f}, 95 % interval){side}, by {self.checked} checks"
        )


def begin_count(run: Path, count: int, side: str = "") -> Count:
    """Return the count of a run: the one begun, or a new one of its final clusters.

    A count of another side, or of other images, is kept beside it, as `count.1.csv` and so on.

    Args:
        run: its folder.
        count: checks of a new count.
        side: only images that show this side; "": all.

    Raises:
        UserError: the run is not finished, or no image shows the side.
    """
    layout = finished_run(run)
    if layout.count.is_file():
        before = read_count(layout.count)
        if before.side != side or not _is_of(before, layout):
            layout.count.rename(free_name(layout.count))
    if not layout.count.is_file():
        _draw(layout, count, side)
    return count_of(layout)


def count_of(layout: RunLayout) -> Count:
    """Return how far the count of a run is.

    Args:
        layout: of a run with a `count.csv`.

    Raises:
        UserError: the file is damaged.
    """
    found = read_count(layout.count)
    sample = found.sample
    log = layout.decisions
    decisions = decisions_on(log, found.paths)[0] if log.is_file() else []
    sure = np.isin(found.paths, list(_checked(decisions)))
    missing = np.bincount(found.units, ~sure) > 0
    identity = _identities(found, decisions)
    values = [
        np.nan if missing[unit] else unit_value(unit, found.units, identity, found.clusters)
        for unit in sample.units.tolist()
    ]
    left = [unit for unit in sample.units.tolist() if missing[unit]]
    return Count(
        side=found.side,
        checked=len(values) - len(left),
        checks=len(values),
        open=[[found.paths[n] for n in np.flatnonzero(found.units == unit)] for unit in left],
        value=None if left else count_estimate(sample, np.array(values)),
    )


def where_to_look(layout: RunLayout, left: list[list[str]]) -> str:
    """Return what finds units on the page of `mprd browse`: numbers of clusters, paths of outliers.

    Args:
        layout: of the run.
        left: images of each unit.
    """
    index = read_artifact(layout.index, INDEX)
    paths = [str(path) for path in index["path"][split_rows(index, "train")]]
    place = {path: row for row, path in enumerate(paths)}
    clusters = read_artifact(layout.final.clusters, CLUSTERS)
    log = layout.decisions
    decisions = decisions_on(log, paths)[0] if log.is_file() else []
    numbers = edited(numbers_of(clusters["labels"], clusters["number"]), place, decisions)
    found: dict[str, None] = {}
    for unit in left:
        for path in unit:
            number = int(numbers[place[path]]) if path in place else -1
            found[str(number) if number >= 0 else path] = None
    return " | ".join(found)


@or_fault
def count_words(layout: RunLayout) -> str | None:
    """Return in a sentence how far the count of a run is; None: nobody began one.

    Returns:
        The sentence, without its full stop; of a damaged file what is wrong with it.
    """
    if not layout.count.is_file():
        return None
    if not _is_of(read_count(layout.count), layout):
        return f"the count is of other images (mprd count {pasted(layout.folder)} starts a new one)"
    return count_of(layout).words()


def _is_of(found: Counted, layout: RunLayout) -> bool:
    """Tell whether a count is of the images that the run has."""
    if not layout.index.is_file():
        return True
    index = read_artifact(layout.index, INDEX)
    rows, _ = _rows(index, found.side)
    return {str(path) for path in index["path"][rows]} == set(found.paths)


def _rows(index: Artifact, side: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the index rows of the training images that show a side, and their numbers among all.

    Args:
        index: of the run.
        side: "": any.
    """
    train = split_rows(index, "train")
    kept = np.arange(len(train))
    if side:
        kept = np.flatnonzero(name_sides(index, train) == side)
    return train[kept], kept


def _draw(layout: RunLayout, count: int, side: str) -> None:
    """Begin a count of the final clusters."""
    index = read_artifact(layout.index, INDEX)
    labels = read_artifact(layout.final.clusters, CLUSTERS, ("labels",))["labels"]
    rows, kept = _rows(index, side)
    if not len(rows):
        known = sorted(set(name_sides(index, split_rows(index, "train"))) - {""})
        raise UserError(
            f"No image shows the side '{side}'. Known are {', '.join(known) or 'none (data.side)'}."
        )
    own, tracks = labels[kept], index["track"][rows]
    seed = load_config(layout.config).seed
    sample = count_sample(own, count, seed, tracks)
    paths = [str(path) for path in index["path"][rows]]
    found = Counted(sample, paths, units_of(own, tracks), side)
    write_count(layout.count, found, dict(enumerate(stratum_of(own, tracks).tolist())))


def _checked(decisions: list[Decision]) -> set[str]:
    """Return the images of which a person said with which others they are one identity.

    One answer about two images says nothing of the others in their clusters.
    """
    found: set[str] = set()
    for one in standing(decisions):
        if one.kind in (*_WHOLE, Kind.MOVE):
            found |= set(one.images)
        if one.kind is Kind.MERGE:
            found |= set(one.others)
    return found


def _identities(found: Counted, decisions: list[Decision]) -> np.ndarray:
    """Return the identity of each image by the decisions, int64 (N,): linked images share one."""
    roots = Roots()
    for link in facts_of(decisions).links:
        roots.join(link.first, link.second)
    names: dict[str, int] = {}
    return np.array([names.setdefault(roots.of(path), len(names)) for path in found.paths])
