"""Where the workflow lies: in the repository, or inside the installed package."""

import argparse
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from yaml import YAMLError

from mprd.config import read_yaml
from mprd.config.yaml_file import parse_yaml
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

SNAKEMAKE_FAILED = "Snakemake failed."
# What it says of a target that nothing makes.
_NO_RULE = re.compile(r"No rule to produce (.+?)(?: \(if you|$)", re.MULTILINE)


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
    named = f"./{config}" if str(config).startswith("-") else str(config)  # else an option
    return [*command, "--configfile", named, *arguments]


def without_traceback(command: list[str]) -> list[str]:
    """Return a command of `snakemake` with our process around it, which Ctrl-C ends quietly."""
    return [*command[:2], "mprd.pipeline.snakemake_process", *command[3:]]


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
        for entry in entries:
            value = entry.partition("=")[2].lstrip()
            if value.startswith(("{", "[")):  # Snakemake reads it as YAML, too, and refuses nothing
                parse_yaml(value)
        return parse_config(entries)
    except (ValueError, YAMLError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise UserError(
            f"--config {' '.join(entries)}: {why}. A section goes as in "
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


def option(arguments: Sequence[str], *names: str) -> str | None:
    """Return the value of an option among arguments of Snakemake, if it is there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(*names, dest="value")
    with redirect_stderr(io.StringIO()):
        return parser.parse_known_args(list(arguments))[0].value


def why_failed(config: Path, arguments: Sequence[str], asked: Sequence[str]) -> str:
    """Return why a run ended before any stage could say something: Snakemake is asked again.

    Args:
        config: YAML file of the run, which was started in the current folder.
        arguments: of the user.
        asked: files or rules that the user named.
    """
    again = snakemake(config, "--cores", "1", *arguments)
    quiet = snakemake(config, "--dry-run", "--quiet", "rules", "--cores", "1", *arguments)
    tried = subprocess.run(quiet, capture_output=True, text=True, check=False, errors="replace")
    said = tried.stdout + tried.stderr
    found = _NO_RULE.search(said)
    if found or "MissingRuleException" in said:
        wanted = found[1] if found else ", ".join(asked)
        return (
            f"mprd: error: {wanted} is no file that this config makes, and no rule. Name a file "
            "below the results folder as `mprd run CONFIG --dry-run --summary` lists them."
        )
    why = [line for line in said.splitlines() if line.strip()][-3:] if tried.returncode else []
    return "\n".join([*why, f"mprd: error: {SNAKEMAKE_FAILED} To see why: {shlex.join(again)}"])
