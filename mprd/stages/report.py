"""Stage `report`: a run, or several side by side, as a page to look at."""

from collections.abc import Sequence
from pathlib import Path

from mprd.artifacts import atomic
from mprd.report.page.pages import comparison_page, run_page


def run_report(*, run: Path, out: Path) -> None:
    """Write the report of a finished run as one self-contained HTML page.

    Args:
        run: folder of the run.
        out: HTML to write.

    Raises:
        UserError: the run is not finished, or an artifact is damaged.
    """
    _write(run_page(run), out)


def run_comparison(*, runs: Sequence[Path], out: Path) -> None:
    """Write the report of several finished runs as one self-contained HTML page.

    Args:
        runs: their folders.
        out: HTML to write.

    Raises:
        UserError: a run is not finished.
    """
    _write(comparison_page(runs), out)


def _write(page: str, out: Path) -> None:
    with atomic(out) as temporary:
        temporary.write_text(page, encoding="utf-8")
