"""The pairs of an audit, shown to a person; a finished run's audit, new or continued."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, Artifact, read_artifact
from mprd.clustering.audit import audit_pairs
from mprd.config import load_config
from mprd.data.index import name_cameras, side_codes, split_rows
from mprd.errors import UserError
from mprd.graph.cameras import align_cameras
from mprd.judging.audit_file import (
    AuditRow,
    audited,
    clusters_digest,
    read_audit,
    rows_of_audit,
    write_audit,
)
from mprd.judging.session import Answer, Asking, Shown
from mprd.pipeline.finished import finished_run
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout, run_of


class AuditSession(Asking):
    """The questions of an audit that are left; answers go to the rows of its file."""

    def __init__(self, rows: Sequence[AuditRow], shown: Sequence[Shown], out: Path) -> None:
        """Begin, or continue.

        Args:
            rows: of the file, in the order in which they are asked.
            shown: the same pairs.
            out: the file.
        """
        self.rows = list(rows)
        self._open = [n for n, row in enumerate(rows) if row.same == ""]
        super().__init__([shown[n] for n in self._open], out)

    def _store(self, number: int, answer: Answer) -> bool:
        self._write(self._open[number], answer or "unsure")
        return True

    def _forget(self, number: int) -> None:
        self._write(self._open[number], "")

    def _write(self, row: int, same: str) -> None:
        self.rows[row] = self.rows[row]._replace(same=same)
        write_audit(self.out, self.rows)


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
    layout = _run_with_start(run) if start else finished_run(run)
    measured = audited(layout, start=start)
    clusters = read_artifact(measured.clusters, CLUSTERS, ("labels",))
    index = read_artifact(layout.index, INDEX)
    train = split_rows(index, "train")
    digest = clusters_digest(clusters)
    rows = read_audit(measured.file) if measured.file.is_file() else []
    if not rows or rows[0].clusters != digest:
        config = load_config(layout.config)
        features = read_artifact(measured.features, FEATURES)["features"]
        compared = align_cameras(features, index["camera"][train], config.graph.cameras)
        try:
            drawn = audit_pairs(
                clusters["labels"],
                compared,
                count,
                config.seed + int(digest, 16),  # other clusters, other pairs
                device or config.device,
                index["track"][train],
                side_codes(index, train),
            )
        except ValueError as error:
            raise UserError(f"{run} cannot be audited: {error}") from None
        if rows:
            measured.file.rename(free_name(measured.file))
        rows = rows_of_audit(drawn, index["path"][train], digest)
        write_audit(measured.file, rows)
    return AuditSession(rows, _shown(rows, index, train), measured.file)


def _run_with_start(folder: Path) -> RunLayout:
    """Return the layout of a run that has clusters before training.

    Raises:
        UserError: it has none, or not yet.
    """
    run = run_of(folder)
    if not load_config(run.config).epochs:
        raise UserError(
            f"{folder} trains nothing: its clusters are those of the start. Leave out --start."
        )
    if not run.epoch(FIRST_EPOCH).clusters.is_file():
        raise UserError(
            f"{folder} has no clusters of the start yet. Go on with `mprd run CONFIG`, where "
            "CONFIG is the file that it was started with."
        )
    return run


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
