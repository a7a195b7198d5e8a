"""The folder of what runs with equal settings share: index, pixels, start."""

import shutil
from collections.abc import Collection
from pathlib import Path

from mprd.errors import SHARED, UserError
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import hold_runs
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES

# Files that runs link to -> the stages that make them.
SHARED_ROLES = {
    write.role: one.name for one in STAGES if one.place is Place.SHARED for write in one.writes
}


def shared_folder(results: Path) -> Path:
    """Return the folder, below that of all runs."""
    return results / SHARED


def prune_shared(results: Path, keep: Collection[str] = ()) -> list[Path]:
    """Remove what no run links to any more; nothing while another workflow works on a run.

    Args:
        results: folder of all runs; this process holds the locks of its own.
        keep: names of folders that stay in any case.

    Returns:
        The folders that were removed.
    """
    settings = RunLayout.roles()["config"].name
    runs = [RunLayout(path.parent) for path in results.glob(f"*/{settings}")]
    try:
        hold_runs(run for run in runs if run.folder.name != SHARED)
    except UserError:
        return []
    links = [getattr(run, role) for run in runs for role in SHARED_ROLES]
    used = {parent for link in links for parent in link.resolve().parents}
    folders = [path for path in shared_folder(results).glob("*-*") if path.is_dir()]
    removed = [path for path in folders if path.resolve() not in used and path.name not in keep]
    for path in removed:
        shutil.rmtree(path)
    return removed
