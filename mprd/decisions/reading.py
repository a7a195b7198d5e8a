"""The decisions of files, for the images of a run."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from mprd.artifacts import CLUSTERS, open_artifact
from mprd.artifacts.csv_rows import csv_header
from mprd.artifacts.locks import briefly_alone
from mprd.decisions.entry import COLUMNS, Decision, Kind, moment_words
from mprd.decisions.log import in_effect, read_decisions


def is_log(path: Path) -> bool:
    """Tell whether a file is a log of decisions, and not a table of judged pairs."""
    return path.is_file() and csv_header(path) == list(COLUMNS)


def decisions_on(path: Path, images: Sequence[str]) -> tuple[list[Decision], int]:
    """Return the decisions of a file that hold, on images of a run.

    An image that is listed under another folder now (`cam_a/1.jpg`, then `day_2/cam_a/1.jpg`) is
    found by the end of its path, where only one image has it.

    Args:
        path: log, or pairs of an older mprd.
        images: paths of the run.

    Returns:
        The decisions, with the paths of the run, without images that it does not have; and how
        many images these are.

    Raises:
        UserError: as `read_decisions`.
    """
    return matched(in_effect(read_decisions(path)), images)


def matched(holding: Sequence[Decision], images: Sequence[str]) -> tuple[list[Decision], int]:
    """Return decisions that hold as `decisions_on` does.

    Args:
        holding: the decisions, ascending.
        images: paths of the run.
    """
    named = dict.fromkeys(name for one in holding for name in (*one.images, *one.others))
    place = places(list(named), images)
    found = list[Decision]()
    for one in holding:
        sides = [tuple(place[n] for n in side if n in place) for side in (one.images, one.others)]
        found += _with_sides(one, *sides)
    return found, len(named) - len(place)


def within(decisions: Sequence[Decision], images: Iterable[str]) -> list[Decision]:
    """Return what decisions say of some images, without the others.

    Args:
        decisions: on these images and others.
        images: paths.
    """
    known = set(images)
    found = list[Decision]()
    for one in decisions:
        sides = (tuple(n for n in side if n in known) for side in (one.images, one.others))
        found += _with_sides(one, *sides)
    return found


def _with_sides(
    one: Decision, images: tuple[str, ...], others: tuple[str, ...]
) -> Iterator[Decision]:
    """Yield a decision with the images that are left of it, if it still says anything."""
    if images and (one.kind is Kind.NEW or bool(others) == bool(one.others)):
        yield one._replace(images=images, others=others)


def places(names: Sequence[str], images: Sequence[str]) -> Mapping[str, str]:
    """Return the path in the run of each name that it has.

    Args:
        names: paths, perhaps under another folder; each once.
        images: paths of the run.
    """
    known = set(images)
    place = {name: name for name in names if name in known}
    left = [name for name in names if name not in known]
    if not left:
        return place
    by_name: dict[str, list[str]] = {}
    moved: dict[str, str] = {}
    for image in images:
        by_name.setdefault(PurePosixPath(image).name, []).append(image)
    for name in left:
        near = [
            image
            for image in by_name.get(PurePosixPath(name).name, [])
            if image.endswith(f"/{name}") or name.endswith(f"/{image}")
        ]
        if len(near) == 1:
            moved[name] = near[0]
    often = Counter(moved.values())
    return place | {name: image for name, image in moved.items() if often[image] == 1}


def time_read(log: Path) -> datetime:
    """Return when decisions are read: later ones have a later time, earlier ones have not.

    Clusters that are made from them bear this time. So what somebody decides while they are made
    counts as unknown to them.

    Args:
        log: of decisions; it may be missing.
    """
    if not log.is_file():
        return datetime.now(UTC)
    with briefly_alone(log):
        entries = read_decisions(log)
        last = entries[-1].time if entries else ""
        while last == moment_words(datetime.now(UTC)):  # a coarse clock
            time.sleep(1e-3)
        return datetime.now(UTC) - timedelta(microseconds=1)


def time_made(clusters: Path) -> str:
    """Return when a `clusters.h5` was made, as the times of decisions are written.

    Decisions with a later time are not in it: see `is_later`.
    """
    with open_artifact(clusters, CLUSTERS) as file:
        return moment_words(datetime.fromisoformat(file.attrs["created"]))


def is_later(decision: Decision, made: str) -> bool:
    """Tell whether a decision was taken after a moment; one without a time was not.

    Args:
        decision: of a log; an older mprd wrote whole seconds.
        made: as `time_made`; "": before all decisions.
    """
    exact = decision.time if "." in decision.time else decision.time.replace("Z", ".000000Z")
    return exact > made


def unapplied(entries: Iterable[Decision], clusters: Path) -> list[Decision]:
    """Return the entries of a log that the clusters may not know yet.

    Args:
        entries: of the log; one without a time counts as unknown to the clusters.
        clusters: a `clusters.h5`, which may be missing.
    """
    made = time_made(clusters) if clusters.is_file() else ""
    return [one for one in entries if not one.time or is_later(one, made)]
