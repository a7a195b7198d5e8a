"""Where the workflow lies: in the repository, or inside the installed package."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def snakefile() -> Path:
    """Return the Snakefile."""
    return _folder() / "Snakefile"


def profile(name: str = "default") -> Path:
    """Return a profile of the workflow: default, slurm ..."""
    return _folder() / "profiles" / name


def _folder() -> Path:
    installed = _PACKAGE / "workflow"  # setup.py puts it there
    return installed if installed.is_dir() else _PACKAGE.parent / "workflow"
