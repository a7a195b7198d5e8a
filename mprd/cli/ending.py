"""What `mprd run` says at its end: what was found, where it lies, and what to do next."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mprd.cli.follow import layout_of
from mprd.config import Run
from mprd.errors import many
from mprd.judging.audit_file import audit_words
from mprd.pipeline.layout import RunLayout, comparison, summary_table
from mprd.report.next_step import better_start, next_step

_OUTLIER = "-1"


def last_words(runs: Sequence[Run], asked: Sequence[str], *, ran: bool) -> list[str]:
    """Return the last lines of a run that went well.

    Args:
        runs: of the config.
        asked: the files or rules that the user named; none: all results.
        ran: a stage ran.
    """
    if asked:
        names = ", ".join(asked)
        return [f"Made: {names}" if ran else f"Nothing to do: {names} is up to date."]
    lines = [] if ran else ["Nothing to do: all results are up to date."]
    trained = {layout_of(run).folder: run.config.epochs > 0 for run in runs}
    finished = [run for run in map(layout_of, runs) if run.final.table.is_file()]
    for run in finished:
        lines.append(f"{run.folder.name}: {_counts(run.final.table)}")
        lines.append(f"  {run.final.table}")
        if trained[run.folder]:
            lines.append(f"  {run.start_table} (before training: {_counts(run.start_table)})")
        lines.append(f"  {run.report}")
        if not _is_labelled(run):
            lines.append(f"  clusters: {audit_words(run)}")
    results = runs[0].config.results
    together = [path for path in (comparison(results), summary_table(results)) if path.is_file()]
    if len(runs) > 1 and together:
        lines.append(f"All runs side by side: {' and '.join(map(str, together))}")
    for run in finished[:1]:
        labelled = _is_labelled(run)
        lines += filter(None, ["" if labelled else better_start(run)])
        lines.append(": ".join(next_step(run, labelled=labelled)))
    return lines


def _counts(table: Path) -> str:
    """Return how many clusters and outliers a `clusters.csv` holds, in words."""
    with table.open(encoding="utf-8", newline="") as file:
        sizes = Counter(row["cluster"] for row in csv.DictReader(file))
    outliers = sizes.pop(_OUTLIER, 0)
    images = sizes.total() + outliers
    return f"{many(len(sizes), 'cluster')}, {many(outliers, 'outlier')} of {images:,} images"


def _is_labelled(run: RunLayout) -> bool:
    """Tell whether some identities are known."""
    with run.final.table.open(encoding="utf-8", newline="") as file:
        return "identity" in next(csv.reader(file))
