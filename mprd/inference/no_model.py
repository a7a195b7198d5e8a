"""Runs with `data.features` have no model: what to say where one is asked for."""

from pathlib import Path

from mprd.config import load_config
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout


def require_model(path: Path) -> None:
    """Check that a model may be asked for: a run with `data.features` has none.

    Args:
        path: of a model.

    Raises:
        UserError: it would lie in the folder of such a run.
    """
    run = next((run for run in map(RunLayout, path.parents) if run.config.is_file()), None)
    if run is not None and load_config(run.config).data.features is not None:
        raise no_model(run.folder)


def no_model(run: Path) -> UserError:
    """Return the error for a run that has no model."""
    return UserError(
        f"{run} has the features of another network and no model of its own. Let that network "
        "embed the new images, too, and name the file with --features."
    )
