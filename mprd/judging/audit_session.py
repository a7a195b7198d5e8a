"""The pairs of an audit, shown to a person; a finished run's audit, new or continued."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, Artifact, read_artifact
from mprd.artifacts.locks import only_writer
from mprd.clustering.audit import audit_pairs
from mprd.clustering.comparison import comparison_pairs
from mprd.config import load_config
from mprd.data.index import name_cameras, side_codes, split_rows
from mprd.errors import UserError
from mprd.judging.audit_file import audited
from mprd.judging.audit_rows import (
    AuditRow,
    clusters_digest,
    labels_digest,
    read_audit,
    rows_of_audit,
    rows_of_comparison,
    write_audit,
)
from mprd.judging.other_clusters import compared_features, other_clusters, run_with_start
from mprd.judging.session import Answer, Asking, Shown
from mprd.pipeline.finished import finished_run
from mprd.pipeline.layout import FIRST_EPOCH


class AuditSession(Asking):
    """The questions of an audit that are left; answers go to the rows of its file."""

    def __init__(self, rows: Sequence[AuditRow], shown: Sequence[Shown], out: Path) -> None:
        """Begin, or continue.

        Args:
            rows: of the file, in the order in which they are asked.
            shown: the same pairs.
            out: the file.
        """
        self.rows, self._asked = list(rows), _unasked(rows)
        self._seen: tuple[int, ...] | None = None
        self._open = [n for n, row in enumerate(rows) if row.same == ""]
        super().__init__([shown[n] for n in self._open], out)

    def _store(self, number: int, answer: Answer) -> bool:
        self._write(self._open[number], answer or "unsure")
        return True

    def _forget(self, number: int) -> None:
        self._write(self._open[number], "")

    def _write(self, row: int, same: str) -> None:
        """Write one answer; those that another page of the same audit wrote meanwhile stay."""
        if self._state() is None:  # moved, perhaps with its run: nothing is made in its place
            raise UserError(
                f"{self.out} is gone: this answer was not taken. Put it back, or end this page and "
                "call the command again."
            )
        with only_writer(self.out):
            rows = list(self.rows)
            if self._state() != self._seen:
                rows = read_audit(self.out, beside=bool(rows[0].beside))
                if _unasked(rows) != self._asked:
                    raise UserError(
                        f"{self.out} holds another audit now: this answer was not taken. End this "
                        "page, and call the command again."
                    )
            rows[row] = rows[row]._replace(same=same)
            write_audit(self.out, rows)
            self.rows, self._seen = rows, self._state()

    def _state(self) -> tuple[int, ...] | None:
        """Return what tells the file from one that another process wrote; None: there is none."""
        try:
            status = self.out.stat()
        except FileNotFoundError:
            return None
        return status.st_size, status.st_mtime_ns, status.st_ino


def audit_session(
    run: Path, count: int, device: str | None = None, *, start: bool = False
) -> AuditSession:
    """Return the audit of a run's clusters: the one begun, or a new one.

    An audit of other clusters than these is kept beside it, as `audit.1.csv` and so on.

    Args:
        run: its folder.
        count: pairs of a new audit.
        device: where similar images are searched: auto, cpu, cuda or cuda:N; None: as the run says.
        start: of the clusters before training, which are there before the run is finished; else of
            the final ones.

    Raises:
        UserError: there are no such clusters, their files do not fit, or no two images share a
            cluster.
    """
    layout = run_with_start(run, "Leave out --start.") if start else finished_run(run)
    measured = audited(layout, start=start)
    clusters = read_artifact(measured.clusters, CLUSTERS, ("labels",))
    index = read_artifact(layout.index, INDEX)
    train = split_rows(index, "train")
    digest = clusters_digest(clusters)
    rows = read_audit(measured.file) if measured.file.is_file() else []
    if not rows or rows[0].clusters != digest:
        config = load_config(layout.config)
        step = layout.epoch(FIRST_EPOCH) if start else layout.final
        try:
            drawn = audit_pairs(
                clusters["labels"],
                compared_features(layout, step),
                count,
                config.seed + int(digest, 16),  # other clusters, other pairs
                device or config.device,
                index["track"][train],
                side_codes(index, train),
            )
        except ValueError as error:
            raise UserError(f"{run} cannot be audited: {error}") from None
        rows = _begin(measured.file, rows_of_audit(drawn, index["path"][train], digest))
    return AuditSession(rows, _shown(rows, index, train), measured.file)


def beside_session(run: Path, other: str, count: int, device: str | None = None) -> AuditSession:
    """Return the audit of a run's final clusters beside others: the one begun, or a new one.

    An audit of other clusters than these two is kept beside it, as `audit_beside.1.csv` and so on.

    Args:
        run: its folder.
        other: `start`, the folder of another run, or a table with path and cluster.
        count: pairs of a new audit.
        device: where similar images are searched: auto, cpu, cuda or cuda:N; None: as the run says.

    Raises:
        UserError: one of the clusterings is not there, they are of other images, or both are equal.
    """
    layout = finished_run(run)
    second = other_clusters(layout, other)
    clusters = read_artifact(layout.final.clusters, CLUSTERS, ("labels",))
    index = read_artifact(layout.index, INDEX)
    train = split_rows(index, "train")
    digests = clusters_digest(clusters), labels_digest(second.labels, clusters.inputs["index"])
    file = layout.beside_audit
    rows = read_audit(file, beside=True) if file.is_file() else []
    if not rows or (rows[0].clusters, rows[0].beside) != digests:
        config = load_config(layout.config)
        features = [compared_features(layout, layout.final)]
        if second.features is not None:
            features.append(second.features())
        try:
            drawn = comparison_pairs(
                clusters["labels"],
                second.labels,
                np.hstack(features),
                count,
                config.seed + int("".join(digests), 16),
                device or config.device,
                index["track"][train],
                side_codes(index, train),
            )
        except ValueError as error:
            raise UserError(f"{run} cannot be compared with {other}: {error}") from None
        rows = _begin(file, rows_of_comparison(drawn, index["path"][train], digests, second.place))
    return AuditSession(rows, _shown(rows, index, train), file)


def _begin(file: Path, rows: list[AuditRow]) -> list[AuditRow]:
    """Write the file of a new audit, and return its rows.

    An audit of other clusters that is there is kept beside it. One of the same clusters, which
    another process began meanwhile, is the one to go on with.
    """
    with only_writer(file):
        if file.is_file():
            known = read_audit(file, beside=bool(rows[0].beside))
            if (known[0].clusters, known[0].beside) == (rows[0].clusters, rows[0].beside):
                return known
            file.rename(free_name(file))
        write_audit(file, rows)
    return rows


def _unasked(rows: Sequence[AuditRow]) -> list[AuditRow]:
    """Return rows without their answers."""
    return [row._replace(same="") for row in rows]


def _shown(rows: Sequence[AuditRow], index: Artifact, train: np.ndarray) -> list[Shown]:
    """Return the pairs as a person sees them.

    Raises:
        UserError: the run has no such image.
    """
    place = {str(index["path"][row]): int(row) for row in train}
    missing = [path for row in rows for path in row[:2] if path not in place]
    if missing:
        raise UserError(f"the audit names {missing[0]}, which the run does not have.")
    found = []
    for row in rows:
        ends = place[row.path_a], place[row.path_b]
        a, b = name_cameras(index, np.array(ends))
        found.append(Shown((row.path_a, row.path_b), (str(a), str(b)), ends, 0))
    return found


def free_name(path: Path) -> Path:
    """Return the first name beside a file that is free: `audit.1.csv`, ..."""
    number = 1
    while (other := path.with_suffix(f".{number}.csv")).exists():
        number += 1
    return other
