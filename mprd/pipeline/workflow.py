"""Where the workflow lies: in the repository, or inside the installed package."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mprd.errors import UserError

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


def snakemake(config: Path, *arguments: str) -> list[str]:
    """Return the command that runs a config.

    Args:
        config: YAML file.
        arguments: more of Snakemake's.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile())]
    arguments = tuple(_own_profile(part) for part in arguments)
    if not any(part.partition("=")[0] == "--profile" for part in arguments):
        command += ["--profile", str(profile())]
    elif not any(part.partition("=")[0] == "--workflow-profile" for part in arguments):
        # Else Snakemake puts the default one, which is for one machine, on top of the user's.
        command += ["--workflow-profile", "none"]
    return [*command, "--configfile", str(config), *arguments]


def _own_profile(word: str) -> str:
    """Return the folder of one of our profiles where its name is given, else the word."""
    option, sign, name = word.rpartition("=")
    own = profile(name)
    is_name = bool(name) and "/" not in name and own.is_dir() and not Path(name).exists()
    return f"{option}{sign}{own}" if is_name and option in ("", "--profile") else word


def overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the settings among arguments of Snakemake: `--config KEY=VALUE ...`.

    Raises:
        UserError: Snakemake does not understand them.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--config", "-C", nargs="*", action="extend", default=[])
    entries = parser.parse_known_args(list(arguments))[0].config
    if not entries:
        return {}
    from snakemake.cli import parse_config

    try:
        return parse_config(entries)
    except ValueError as error:
        raise UserError(
            f"--config {' '.join(entries)}: {error} A section goes as in "
            "--config 'train={lr: 0.001}'."
        ) from None


def why_failed(config: Path, *arguments: str) -> str:
    """Return a sentence about a run that ended before any stage could say something.

    Args:
        config: YAML file of the run, which was started in the current folder.
        arguments: as it was started.
    """
    again = shlex.join(snakemake(config, *arguments)).replace(" --quiet all", "")
    return f"mprd: error: Snakemake failed. To see why: {again}"
