"""`audit.csv` of a run: the drawn pairs, their strata, and the answers so far."""

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mprd.artifacts import CLUSTERS, Artifact, atomic, read_artifact
from mprd.artifacts.csv_rows import csv_rows
from mprd.clustering.audit import AuditPairs
from mprd.clustering.audit_estimate import AuditEstimate, Estimate, audit_estimate
from mprd.errors import UserError, many
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout

_INSIDE, _BETWEEN = "inside", "between"
_STRATUM = re.compile(rf"({_INSIDE}|{_BETWEEN}) [1-9][0-9]?")
_UNSURE = "unsure"
_SAME = {"1": 1, "0": 0, _UNSURE: -1}


class AuditRow(NamedTuple):
    """A line of the file.

    Attributes:
        path_a: of one image.
        path_b: of the other.
        same: 1, 0, unsure, or nothing: not asked yet.
        stratum: `inside` or `between`, and its number, from near to far.
        pairs: in the stratum. The pair was drawn with the probability (lines of the stratum) /
            pairs.
        clusters: digest of the clusters that are measured.
    """

    path_a: str
    path_b: str
    same: str
    stratum: str
    pairs: int
    clusters: str


_HEADER = list(AuditRow._fields)


class Audited(NamedTuple):
    """Clusters of a run that an audit measures.

    Attributes:
        clusters: `clusters.h5`.
        features: that they were made from.
        file: of the audit.
        command: that begins the audit, or goes on with it.
    """

    clusters: Path
    features: Path
    file: Path
    command: str


def audited(run: RunLayout, *, start: bool = False) -> Audited:
    """Return the clusters of a run that an audit measures.

    Args:
        run: layout of the run.
        start: those before training, else the final ones.
    """
    step = run.epoch(FIRST_EPOCH) if start else run.final
    command = f"mprd audit {run.folder}{' --start' if start else ''}"
    return Audited(step.clusters, step.features, run.start_audit if start else run.audit, command)


def clusters_digest(clusters: Artifact) -> str:
    """Return what tells clusters of some images from others, 16 characters.

    Args:
        clusters: `clusters.h5`, with the array `labels`.
    """
    labels = clusters["labels"].astype("<i4").tobytes()
    return hashlib.sha256(labels + clusters.inputs["index"].encode()).hexdigest()[:16]


def rows_of_audit(drawn: AuditPairs, paths: np.ndarray, digest: str) -> list[AuditRow]:
    """Return the lines of a new audit.

    Args:
        drawn: its pairs.
        paths: of the images (N,).
        digest: of the clusters.
    """
    names = [
        f"{_INSIDE} {n + 1}" if n < drawn.inside else f"{_BETWEEN} {n + 1 - drawn.inside}"
        for n in range(len(drawn.sizes))
    ]
    return [
        AuditRow(str(paths[a]), str(paths[b]), "", names[s], int(drawn.sizes[s]), digest)
        for (a, b), s in zip(drawn.pairs, drawn.stratum, strict=True)
    ]


def read_audit(path: Path) -> list[AuditRow]:
    """Read an `audit.csv`.

    Raises:
        UserError: it is something else, or was changed into nonsense.
    """
    header, *lines = csv_rows(path)[0] or [[]]
    wrong = UserError(f"{path} is no file of `mprd audit`. Move it away and start a new audit.")
    if header != _HEADER or not lines or any(len(line) != len(_HEADER) for line in lines):
        raise wrong
    if not all(line[_HEADER.index("pairs")].isdecimal() for line in lines):
        raise wrong
    rows = [AuditRow(a, b, same, kind, int(n), digest) for a, b, same, kind, n, digest in lines]
    sizes = {row.stratum: row.pairs for row in rows}
    drawn = Counter(row.stratum for row in rows)
    if any(
        not _STRATUM.fullmatch(row.stratum)
        or row.same not in ("", *_SAME)
        or row.pairs != sizes[row.stratum]
        or row.pairs < drawn[row.stratum]
        or row.clusters != rows[0].clusters
        for row in rows
    ):
        raise wrong
    return rows


def write_audit(path: Path, rows: list[AuditRow]) -> None:
    """Write an `audit.csv`, atomically."""
    with (
        atomic(path, lock=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows([_HEADER, *rows])


def estimate_rows(rows: list[AuditRow]) -> AuditEstimate:
    """Return what a finished audit says.

    Raises:
        ValueError: a stratum has no answer.
    """
    kinds = {row.stratum: row.pairs for row in rows}
    names = sorted(kinds, key=lambda name: (name.split()[0] != _INSIDE, int(name.split()[1])))
    drawn = AuditPairs(
        pairs=np.zeros((len(rows), 2), np.int64),
        stratum=np.array([names.index(row.stratum) for row in rows]),
        sizes=np.array([kinds[name] for name in names], np.int64),
        inside=sum(name.startswith(_INSIDE) for name in names),
    )
    return audit_estimate(drawn, np.array([_SAME[row.same] for row in rows]))


def audit_words(run: RunLayout, *, start: bool = False) -> str:
    """Return in a sentence whether the clusters of a run were audited, and the result.

    Args:
        run: layout of the run.
        start: the clusters before training, else the final ones.

    Raises:
        UserError: its audit file is damaged.
    """
    clusters, _, file, again = audited(run, start=start)
    if not file.is_file():
        return f"not audited ({again} takes three minutes)"
    rows = read_audit(file)
    if rows[0].clusters != clusters_digest(read_artifact(clusters, CLUSTERS, ("labels",))):
        return f"the audit is of other clusters ({again} starts a new one)"
    asked = sum(row.same != "" for row in rows)
    if asked < len(rows):
        return f"audit under way, {asked} of {len(rows)} pairs judged ({again} goes on)"
    try:
        found = estimate_rows(rows)
    except ValueError:
        return "the audit tells nothing: too many pairs could not be told"
    return (
        f"audited: pair precision {_words(found.precision)}, recall {_words(found.recall)}, by "
        f"{many(found.answers, 'answer')} (95 % intervals), for the clusters with the digest "
        f"{rows[0].clusters}"
    )


def finished_audit(run: RunLayout, *, start: bool = False) -> AuditEstimate | None:
    """Return what the audit of a run's clusters says.

    Args:
        run: layout of the run.
        start: the clusters before training, else the final ones.

    Returns:
        None: there is none of these clusters, some pairs are not judged, or too few could be told.

    Raises:
        UserError: its file is damaged.
    """
    clusters, _, file, _ = audited(run, start=start)
    rows = read_audit(file) if file.is_file() else []
    if not rows or any(row.same == "" for row in rows):
        return None
    if rows[0].clusters != clusters_digest(read_artifact(clusters, CLUSTERS, ("labels",))):
        return None
    try:
        return estimate_rows(rows)
    except ValueError:
        return None


def _words(one: Estimate) -> str:
    value = "unknown" if np.isnan(one.value) else f"{one.value:.2f}"
    return f"{value} ({one.low:.2f} to {one.high:.2f})"
