"""What can be done only with a finished run."""

from pathlib import Path

from mprd.errors import UserError, pasted
from mprd.pipeline.layout import RunLayout, run_of
from mprd.pipeline.run_lock import is_running


def finished_run(folder: Path) -> RunLayout:
    """Return the layout of a folder that a user calls a finished run.

    Raises:
        UserError: no run was started there, or it has no final clusters yet.
    """
    run = run_of(folder)
    if run.final.clusters.is_file():
        return run
    if is_running(run):
        rest = f"A workflow works on it: mprd status {pasted(folder)}"
    else:
        rest = "Go on with `mprd run CONFIG`, where CONFIG is the file that it was started with."
    raise UserError(f"{folder} is not finished: it has no final clusters yet. {rest}")
