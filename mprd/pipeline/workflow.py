"""Where the workflow lies: in the repository, or inside the installed package."""

import argparse
import io
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from mprd.config import read_yaml
from mprd.errors import UserError

_PACKAGE = Path(__file__).parents[1]
# Arguments of Snakemake with which it does something else than to run jobs.
_OTHER_WORK = (
    "archive cleanup_metadata cleanup_shadow conda_cleanup_envs "
    "conda_create_envs_only container_cleanup_images containerize d3dag dag "
    "delete_all_output delete_temp_output detailed_summary dryrun filegraph "
    "generate_unit_tests lint list_changes list_conda_envs list_input_changes "
    "list_params_changes list_rules list_target_rules list_untracked "
    "print_compilation report rulegraph summary touch unlock"
)


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
        # As options: of a profile Snakemake tells in a long line, however quiet it is to be.
        command += ["--profile", "none", "--workflow-profile", "none", *_options(profile())]
    elif not any(part.partition("=")[0] == "--workflow-profile" for part in arguments):
        # Else Snakemake puts the default one, which is for one machine, on top of the user's.
        command += ["--workflow-profile", "none"]
    return [*command, "--configfile", str(config), *arguments]


def _options(folder: Path) -> list[str]:
    """Return what a profile sets as options."""
    words: list[str] = []
    for name, value in read_yaml(folder / "config.yaml").items():
        words.append(f"--{name}")
        if isinstance(value, dict):
            words += [f"{key}={number}" for key, number in value.items()]
        elif value is not True:
            words.append(str(value))
    return words


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


def targets(arguments: Sequence[str]) -> tuple[str, ...] | None:
    """Return the files or rules that arguments of Snakemake ask for.

    Args:
        arguments: of Snakemake.

    Returns:
        None: they ask for no run, but for something like `--unlock`; (): all results.

    Raises:
        UserError: Snakemake does not understand them.
    """
    if not arguments:
        return ()
    from snakemake.cli import get_argument_parser

    said = io.StringIO()
    try:
        with redirect_stderr(said):
            asked = get_argument_parser().parse_args(list(arguments))
    except SystemExit as stop:
        if not stop.code:  # it has told its version
            raise
        why = said.getvalue().rpartition("error: ")[2].strip()
        raise UserError(
            f"Snakemake, which gets all behind the config, says: {why}. See mprd run --help and "
            "snakemake --help."
        ) from None
    if any(getattr(asked, name, None) for name in _OTHER_WORK.split()):
        return None
    return (*asked.targets, *asked.until)


def why_failed(config: Path, *arguments: str) -> str:
    """Return a sentence about a run that ended before any stage could say something.

    Args:
        config: YAML file of the run, which was started in the current folder.
        arguments: as it was started.
    """
    again = shlex.join(snakemake(config, *arguments)).replace(" --quiet all", "")
    return f"mprd: error: Snakemake failed. To see why: {again}"
