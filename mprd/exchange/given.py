"""Identities that were given elsewhere, as decisions: a table path,identity."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.data.added import read_added
from mprd.data.index import split_rows
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.facts import Facts, facts_of
from mprd.decisions.log import DecisionLog, in_effect
from mprd.decisions.partition import edited
from mprd.decisions.reading import matched, places
from mprd.errors import UserError
from mprd.pipeline.finished import finished_run

_UNNAMED = re.compile(r"cluster_\d+")


class Imported(NamedTuple):
    """What a table said.

    Attributes:
        identities: with an image of the run.
        images: of the run that it names, with an identity.
        missing: images that the run does not have.
        decisions: that were written.
        log: the file.
    """

    identities: int
    images: int
    missing: int
    decisions: int
    log: Path


def import_identities(run: Path, table: Path, who: str = "") -> Imported:
    """Write identities that were given elsewhere as decisions of a run, all or none.

    Images of one identity become one, with its name, and are parted from the table's other
    identities in their clusters. Images without an identity, or not in the table, are left alone.

    Args:
        run: folder of a finished run.
        table: CSV with the columns path and identity.
        who: gave them; "" unknown.

    Raises:
        UserError: the run is not finished, the table cannot be read, names an image twice, or
            contradicts earlier decisions; nothing is written then.
    """
    layout = finished_run(run)
    index = read_artifact(layout.index, INDEX)
    clusters = read_artifact(layout.final.clusters, CLUSTERS)
    added = read_added(layout, clusters)
    paths = [*(str(path) for path in index["path"][split_rows(index, "train")]), *added.paths]
    given, missing = _given(table, paths)
    log = DecisionLog(layout.decisions, layout.folder / "answers.csv", who)
    holding = matched(in_effect(log.entries), paths)[0]
    rows = {path: row for row, path in enumerate(paths)}
    own = numbers_of(clusters["labels"], clusters["number"])
    before = np.concatenate([own, added["number"]])
    shown = edited(before, rows, holding, added.following)
    facts = facts_of(holding)
    new = _decisions(given, {path: int(shown[row]) for path, row in rows.items()}, facts)
    known = {one.chain for one in facts.contradictions}
    wrong = [one for one in facts_of([*holding, *new]).contradictions if one.chain not in known]
    if wrong:
        raise UserError(
            f"{table} contradicts decisions of {layout.decisions}; nothing was imported. "
            f"{wrong[0].words()}"
        )
    log.extend(new)
    return Imported(len(given), sum(map(len, given.values())), missing, len(new), log.path)


def _given(table: Path, paths: Sequence[str]) -> tuple[dict[str, list[str]], int]:
    """Return the images of the run that each identity has, and how many the run does not have."""
    from mprd.decisions.answers import read_csv  # pandas is slow to load

    cells = read_csv(table, ("path", "identity"))
    named = [_plain(path) for path in cells["path"]]
    place = places(list(dict.fromkeys(named)), paths)
    found: dict[str, list[str]] = {}
    seen: dict[str, str] = {}
    for path, cell in zip(named, cells["identity"], strict=True):
        identity = " ".join(_plain(cell).split())
        if not identity or path not in place:
            continue
        if seen.setdefault(place[path], identity) != identity:
            raise UserError(
                f"{table} calls {path} both {seen[place[path]]!r} and {identity!r}. Keep one."
            )
        found.setdefault(identity, []).append(place[path])
    return {name: list(dict.fromkeys(of)) for name, of in found.items()}, len({*named} - {*place})


def _plain(cell: str) -> str:
    """Return a cell without the `'` before what a table program would take for a formula."""
    return cell[1:] if cell[:1] == "'" and cell[1:2] in tuple("=+-@\t\r") else cell


def _decisions(
    given: Mapping[str, list[str]], number: Mapping[str, int], facts: Facts
) -> list[Decision]:
    """Return what the identities say that does not hold yet.

    First all that share a cluster with another identity are taken out: who confirms images joins
    the clusters that they are in. `cluster_<number>`, which exports write, is no name.
    """
    whole: dict[int, set[str]] = {}
    for path, one in number.items():
        whole.setdefault(one, set()).add(path)
    inside: dict[int, list[tuple[str, str]]] = {}
    for identity, of in given.items():
        for path in of:
            if number[path] >= 0:
                inside.setdefault(number[path], []).append((identity, path))
    group = {path: n for n, of in enumerate(facts.groups()) for path in of}
    splits, rest = [], []
    for identity, of in given.items():
        shared = {number[path] for path in of}
        named = _UNNAMED.fullmatch(identity) is None
        renamed = named and any(facts.names.get(path, "") != identity for path in of)
        if not renamed and len(shared) == 1 and -1 not in shared and whole[min(shared)] == {*of}:
            continue
        others = [path for k in shared for name, path in inside.get(k, []) if name != identity]
        if others:
            splits.append(Decision(Kind.SPLIT, tuple(of), tuple(dict.fromkeys(others))))
        one = len({group.get(path, path) for path in of}) == 1 and facts.confirmed.issuperset(of)
        if others or not one:
            rest.append(Decision(Kind.CONFIRM, tuple(of)))
        if renamed:
            rest.append(Decision(Kind.RENAME, tuple(of), value=identity))
    return [*splits, *rest]
