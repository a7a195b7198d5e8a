"""The lines of `audit.csv` and `audit_beside.csv`: drawn pairs, strata, and answers so far."""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mprd.artifacts import Artifact, atomic
from mprd.artifacts.csv_rows import csv_rows
from mprd.clustering.audit import AuditPairs
from mprd.clustering.audit_estimate import AuditEstimate, audit_estimate
from mprd.clustering.comparison import ComparisonPairs, joined_strata
from mprd.clustering.comparison_estimate import ComparisonEstimate, comparison_estimate
from mprd.errors import UserError

_UNSURE = "unsure"
_SAME = {"1": 1, "0": 0, _UNSURE: -1}
_BETWEEN = "between"
_ONE = ("inside", _BETWEEN)
_TWO = ("both", "first", "second", _BETWEEN)


class AuditRow(NamedTuple):
    """A line of the file.

    Attributes:
        path_a: of one image.
        path_b: of the other.
        same: 1, 0, unsure, or nothing: not asked yet.
        stratum: `inside` or `between`, and its number, from near to far; of two clusterings
            `both`, `first`, `second` (joined by this one only), or `between`.
        pairs: in the stratum. The pair was drawn with the probability (lines of the stratum) /
            pairs.
        clusters: digest of the clusters that are measured.
        beside: digest of those that they are compared with; "": none.
        other: where these are: `start`, or a path from the folder of the run; "": none.
    """

    path_a: str
    path_b: str
    same: str
    stratum: str
    pairs: int
    clusters: str
    beside: str = ""
    other: str = ""


_HEADER = list(AuditRow._fields)
_ALONE = _HEADER.index("beside")  # columns of an audit of one clustering


def clusters_digest(clusters: Artifact) -> str:
    """Return what tells clusters of some images from others, 16 characters.

    Args:
        clusters: `clusters.h5`, with the array `labels`.
    """
    return labels_digest(clusters["labels"], clusters.inputs["index"])


def labels_digest(labels: np.ndarray, index: str) -> str:
    """Return the digest of clusters, by their labels int (N,) and the digest of the index."""
    return hashlib.sha256(labels.astype("<i4").tobytes() + index.encode()).hexdigest()[:16]


def rows_of_audit(drawn: AuditPairs, paths: np.ndarray, digest: str) -> list[AuditRow]:
    """Return the lines of a new audit.

    Args:
        drawn: its pairs.
        paths: of the images (N,).
        digest: of the clusters.
    """
    return _rows(drawn, paths, [drawn.inside, len(drawn.sizes) - drawn.inside], _ONE, digest)


def rows_of_comparison(
    drawn: ComparisonPairs, paths: np.ndarray, digests: tuple[str, str], other: str
) -> list[AuditRow]:
    """Return the lines of a new audit of two clusterings.

    Args:
        drawn: its pairs.
        paths: of the images (N,).
        digests: of both.
        other: where the second one is.
    """
    first, second = drawn.joined
    masks = (first & second, first & ~second, second & ~first, ~(first | second))
    counts = [int(mask.sum()) for mask in masks]
    return _rows(drawn, paths, counts, _TWO, *digests, other)


def _rows(
    drawn: AuditPairs, paths: np.ndarray, counts: list[int], kinds: tuple[str, ...], *rest: str
) -> list[AuditRow]:
    """Return lines; `counts` are the strata of each kind."""
    pairs = zip(kinds, counts, strict=True)
    names = [f"{kind} {n}" for kind, count in pairs for n in range(1, count + 1)]
    return [
        AuditRow(str(paths[a]), str(paths[b]), "", names[s], int(drawn.sizes[s]), *rest)
        for (a, b), s in zip(drawn.pairs, drawn.stratum, strict=True)
    ]


def read_audit(path: Path, *, beside: bool = False) -> list[AuditRow]:
    """Read an `audit.csv`.

    Args:
        path: of the file.
        beside: it is an `audit_beside.csv`.

    Raises:
        UserError: it is something else, or was changed into nonsense.
    """
    columns, kinds = (_HEADER, _TWO) if beside else (_HEADER[:_ALONE], _ONE)
    header, *lines = csv_rows(path)[0] or [[]]
    wrong = UserError(f"{path} is no file of `mprd audit`. Move it away and start a new audit.")
    if header != columns or not lines or any(len(line) != len(columns) for line in lines):
        raise wrong
    if not all(line[_HEADER.index("pairs")].isdecimal() for line in lines):
        raise wrong
    rows = [AuditRow(a, b, same, kind, int(n), *rest) for a, b, same, kind, n, *rest in lines]
    sizes = {row.stratum: row.pairs for row in rows}
    drawn = Counter(row.stratum for row in rows)
    stratum = re.compile(rf"({'|'.join(kinds)}) [1-9][0-9]?")
    if any(
        not stratum.fullmatch(row.stratum)
        or row.same not in ("", *_SAME)
        or row.pairs != sizes[row.stratum]
        or row.pairs < drawn[row.stratum]
        or row[_ALONE - 1 :] != rows[0][_ALONE - 1 :]
        for row in rows
    ):
        raise wrong
    return rows


def write_audit(path: Path, rows: Sequence[AuditRow]) -> None:
    """Write an `audit.csv`, or an `audit_beside.csv`, atomically."""
    columns = len(_HEADER) if rows[0].beside else _ALONE
    with (
        atomic(path, lock=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        csv.writer(file).writerows(row[:columns] for row in (_HEADER, *rows))


def estimate_rows(rows: Sequence[AuditRow]) -> AuditEstimate:
    """Return what a finished audit says.

    Raises:
        ValueError: a stratum has no answer.
    """
    return audit_estimate(*_answered(rows, _ONE))


def estimate_comparison(rows: Sequence[AuditRow]) -> ComparisonEstimate:
    """Return what a finished audit of two clusterings says.

    Raises:
        ValueError: a stratum has no answer.
    """
    drawn, same = _answered(rows, _TWO)
    kinds = [name.split()[0] for name in {row.stratum: None for row in rows}]
    joined = joined_strata([kinds.count(kind) for kind in _TWO])
    return comparison_estimate(ComparisonPairs(**vars(drawn), joined=joined), same)


def _answered(rows: Sequence[AuditRow], kinds: tuple[str, ...]) -> tuple[AuditPairs, np.ndarray]:
    """Return the strata of a file and the answers; the file has no rows of images."""
    sizes = {row.stratum: row.pairs for row in rows}
    split = {name: name.split() for name in sizes}
    names = sorted(sizes, key=lambda name: (kinds.index(split[name][0]), int(split[name][1])))
    drawn = AuditPairs(
        pairs=np.zeros((len(rows), 2), np.int64),
        stratum=np.array([names.index(row.stratum) for row in rows]),
        sizes=np.array([sizes[name] for name in names], np.int64),
        inside=sum(split[name][0] != _BETWEEN for name in names),
    )
    return drawn, np.array([_SAME[row.same] for row in rows])
