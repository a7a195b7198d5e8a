"""What an audit of two clusterings says: those of a run, and those that they are compared with."""

import os
from dataclasses import dataclass

import numpy as np

from mprd.artifacts import CLUSTERS, read_artifact
from mprd.clustering.audit_estimate import Estimate
from mprd.clustering.comparison_estimate import ComparisonEstimate, PairShares
from mprd.errors import UserError, many, or_fault, pasted
from mprd.judging.audit_rows import (
    AuditRow,
    clusters_digest,
    estimate_comparison,
    labels_digest,
    read_audit,
)
from mprd.judging.other_clusters import START, other_clusters
from mprd.pipeline.layout import RunLayout


@dataclass(frozen=True)
class Compared:
    """The audit of a run's final clusters beside others, as far as it is.

    Attributes:
        rows: of its file.
        told: why it says nothing about the clusters that are there now; "": it does.
        found: the result; None: `told` says why, pairs are not judged, or too few could be told.
    """

    rows: list[AuditRow]
    told: str
    found: ComparisonEstimate | None


def other_name(run: RunLayout, place: str) -> str:
    """Return how a user names other clusters, by their place in the file of an audit."""
    return START if place == START else os.path.normpath(run.folder / place)


def compared(run: RunLayout) -> Compared | None:
    """Return the audit of the final clusters beside others; None: there is none.

    Args:
        run: layout of the run.

    Raises:
        UserError: its file is damaged.
    """
    if not run.beside_audit.is_file() or not run.final.clusters.is_file():
        return None
    rows = read_audit(run.beside_audit, beside=True)
    other = other_name(run, rows[0].other)
    clusters = read_artifact(run.final.clusters, CLUSTERS, ("labels",))
    try:
        second = other_clusters(run, other).labels
    except (UserError, OSError) as error:  # an OSError: its folder cannot be entered, or is no name
        why = error if isinstance(error, UserError) else f"{other} ({error.strerror})"
        return Compared(rows, f"what these clusters were compared with is not there: {why}", None)
    digests = clusters_digest(clusters), labels_digest(second, clusters.inputs["index"])
    if (rows[0].clusters, rows[0].beside) != digests:
        again = f"{_command(run, other)} starts a new one"
        return Compared(rows, f"the audit is of other clusters ({again})", None)
    if any(row.same == "" for row in rows):
        return Compared(rows, "", None)
    try:
        return Compared(rows, "", estimate_comparison(rows))
    except ValueError:
        return Compared(rows, "the audit tells nothing: too many pairs could not be told", None)


@or_fault
def beside_words(run: RunLayout) -> str | None:
    """Return in a sentence what an audit of two clusterings says; None: nobody began one.

    Args:
        run: layout of the run.

    Returns:
        The sentence, without its full stop; of a damaged file what is wrong with it.
    """
    audit = compared(run)
    if audit is None:
        return None
    rows, found = audit.rows, audit.found
    other = other_name(run, rows[0].other)
    if audit.told:
        return audit.told
    if found is None:
        asked = sum(row.same != "" for row in rows)
        return (
            f"audit beside {_called(other)} under way, {asked} of {len(rows)} pairs judged "
            f"({_command(run, other)} goes on)"
        )
    gain = found.difference
    return (
        f"audited beside {_called(other)}: "
        f"pair precision {words_of(found.first.precision)} against "
        f"{words_of(found.second.precision)}, difference {_signed(gain.precision)}; "
        f"recall {words_of(found.first.recall)} against {words_of(found.second.recall)}, "
        f"difference {_signed(gain.recall)}; pair F1 differs by {_signed(gain.f1)}: "
        f"{_verdict(gain.f1, _called(other))}; by {many(found.answers, 'answer')} (95 % "
        f"intervals), for the clusters with the digests {rows[0].clusters} and {rows[0].beside}"
    )


def shares_words(shares: PairShares, answers: int, digest: str) -> str:
    """Return what an audit says about one clustering.

    Args:
        shares: its precision and recall.
        answers: pairs that could be told.
        digest: of the clusters.
    """
    return (
        f"audited: pair precision {words_of(shares.precision)}, recall {words_of(shares.recall)}, "
        f"by {many(answers, 'answer')} (95 % intervals), for the clusters with the digest {digest}"
    )


def compared_shares(run: RunLayout, *, start: bool) -> str | None:
    """Return what a finished audit of two clusterings says about one; None: nothing.

    Args:
        run: layout of the run.
        start: about the clusters before training, else the final ones.

    Raises:
        UserError: its file is damaged.
    """
    audit = compared(run)
    if audit is None or audit.found is None:
        return None
    found, row = audit.found, audit.rows[0]
    if not start:
        return shares_words(found.first, found.answers, row.clusters)
    if row.other != START:
        return None
    return shares_words(found.second, found.answers, row.beside)


def words_of(one: Estimate) -> str:
    """Return a number with its interval."""
    value = "unknown" if np.isnan(one.value) else f"{one.value:.2f}"
    return f"{value} ({one.low:.2f} to {one.high:.2f})"


def _signed(one: Estimate) -> str:
    value = "unknown" if np.isnan(one.value) else f"{one.value:+.2f}"
    return f"{value} ({one.low:+.2f} to {one.high:+.2f})"


def _command(run: RunLayout, other: str) -> str:
    return f"mprd audit {pasted(run.folder)} --beside {pasted(other)}"


def _called(other: str) -> str:
    return "the clusters before training" if other == START else f"those of {other}"


def _verdict(gain: Estimate, other: str) -> str:
    if gain.low > 0:
        return "these clusters are better"
    if gain.high < 0:
        return f"{other} are better"
    return "the answers do not tell which is better"
