"""Where the workflow lies: in the repository, or inside the installed package."""

import argparse
import csv
import shlex
import subprocess
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
    if any(Path(".snakemake/locks").glob("*")):
        return (
            f"mprd: error: another run works in {Path.cwd()}, or was killed hard. Wait for it; if "
            f"there is none: {shlex.join(['mprd', 'run', str(config), '--unlock'])}, then the same "
            "command again."
        )
    again = shlex.join(snakemake(config, *arguments)).replace(" --quiet all", "")
    return f"mprd: error: Snakemake failed. To see why: {again}"


def stale_files(config: Path, run: Path) -> dict[str, str]:
    """Return the files of a run that are there and would be made again, and why.

    Args:
        config: YAML file that the run would go on with.
        run: its folder.

    Raises:
        UserError: Snakemake cannot plan the run, or the config makes another one.
    """
    done = subprocess.run(
        snakemake(config, "--summary"), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"Snakemake cannot plan {config}: {done.stderr.strip().splitlines()[-1]}")
    lines = done.stdout.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("output_file\t"))
    folder = run.resolve()
    rows = [
        row
        for row in csv.DictReader(lines[start:], delimiter="\t")
        if folder in Path(row["output_file"]).resolve().parents
        or folder in Path(row["output_file"]).absolute().parents  # a link to another run's file
    ]
    if not rows:
        raise UserError(
            f"{config} makes no file in {run}: it has other runs, or another results folder (it is "
            "read as by a run started here)."
        )
    return {
        row["output_file"]: "follows from others" if row["status"] == "ok" else row["status"]
        for row in rows
        if row["plan"] == "update pending" and row["status"] != "missing"
    }
