"""Which clusters of a run were audited, and what the audit says."""

from pathlib import Path
from typing import NamedTuple

from mprd.artifacts import CLUSTERS, read_artifact
from mprd.clustering.audit_estimate import AuditEstimate
from mprd.clustering.comparison_estimate import PairShares
from mprd.errors import or_fault, pasted
from mprd.judging.audit_beside import compared_shares, shares_words
from mprd.judging.audit_rows import AuditRow, clusters_digest, estimate_rows, read_audit
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout


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
    command = f"mprd audit {pasted(run.folder)}{' --start' if start else ''}"
    return Audited(step.clusters, step.features, run.start_audit if start else run.audit, command)


@or_fault
def audit_words(run: RunLayout, *, start: bool = False) -> str:
    """Return in a sentence whether the clusters of a run were audited, and the result.

    Where they have no audit of their own, it is that of an audit beside other clusters.

    Args:
        run: layout of the run.
        start: the clusters before training, else the final ones.

    Returns:
        The sentence, without its full stop; of a damaged file what is wrong with it.
    """
    again, (rows, fits) = audited(run, start=start).command, _own_rows(run, start=start)
    if not fits and (words := compared_shares(run, start=start)) is not None:
        return words
    if not rows:
        return f"not audited ({again} takes three minutes)"
    if not fits:
        return f"the audit is of other clusters ({again} starts a new one)"
    asked = sum(row.same != "" for row in rows)
    if asked < len(rows):
        return f"audit under way, {asked} of {len(rows)} pairs judged ({again} goes on)"
    try:
        found = estimate_rows(rows)
    except ValueError:
        return "the audit tells nothing: too many pairs could not be told"
    shares = PairShares(found.precision, found.recall)
    return shares_words(shares, found.answers, rows[0].clusters)


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
    rows, fits = _own_rows(run, start=start)
    if not fits or any(row.same == "" for row in rows):
        return None
    try:
        return estimate_rows(rows)
    except ValueError:
        return None


def _own_rows(run: RunLayout, *, start: bool) -> tuple[list[AuditRow], bool]:
    """Return the lines of an audit, [] none, and whether it is of the clusters that are there."""
    clusters, _, file, _ = audited(run, start=start)
    rows = read_audit(file) if file.is_file() else []
    if not rows:
        return [], False
    now = clusters_digest(read_artifact(clusters, CLUSTERS, ("labels",)))
    return rows, rows[0].clusters == now
