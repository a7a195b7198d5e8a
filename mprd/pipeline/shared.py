"""The folder of what runs with equal settings share: index, pixels, start."""

import shutil
from collections.abc import Collection
from pathlib import Path

from filelock import Timeout

from mprd.artifacts.locks import take_lock
from mprd.errors import SHARED, UserError
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import hold_runs, lock_file
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES

# Files that runs link to -> the stages that make them.
SHARED_ROLES = {
    write.role: one.name for one in STAGES if one.place is Place.SHARED for write in one.writes
}


def shared_folder(results: Path) -> Path:
    """Return the folder, below that of all runs."""
    return results / SHARED


def _in_the_making(folder: Path) -> bool:
    """Tell whether a stage writes a file of a folder; it can outlive its workflow."""
    for path in folder.rglob(".*.lock"):
        try:
            lock = take_lock(path)
        except (Timeout, UserError):
            return True
        if lock is None:  # nobody can tell
            return True
        lock.release()
    return False


def prune_shared(results: Path, keep: Collection[str] = ()) -> list[Path]:
    """Remove what no run links to any more; nothing while another workflow works on a run.

    What a stage is making stays, too.

    Args:
        results: folder of all runs; this process holds the locks of its own.
        keep: names of folders that stay in any case.

    Returns:
        The folders that were removed.
    """
    # A run that has just begun has a lock, but no settings yet.
    runs = [
        run
        for run in map(RunLayout, results.glob("*"))
        if run.config.is_file() or lock_file(run).is_file()
    ]
    try:
        hold_runs(run for run in runs if run.folder.name != SHARED)
    except UserError:
        return []
    links = [getattr(run, role) for run in runs for role in SHARED_ROLES]
    used = {parent for link in links for parent in link.resolve().parents}
    folders = [path for path in shared_folder(results).glob("*-*") if path.is_dir()]
    idle = [path for path in folders if path.resolve() not in used and path.name not in keep]
    removed = [path for path in idle if not _in_the_making(path)]
    for path in removed:
        shutil.rmtree(path)
    return removed
