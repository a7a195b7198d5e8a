"""`mprd run`: the workflow of a config, from its first check to its last words."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from mprd.cli.app import START_PANEL, app
from mprd.errors import UserError, is_utf8, many, pasted, say

if TYPE_CHECKING:
    from mprd.config import Run

_DRY, _QUIET = ("-n", "--dry-run"), {"-q", "--quiet"}
_HOW_LOUD = (*_QUIET, "--verbose", "-p", "--printshellcmds")


class _Run(TyperCommand):
    """Leaves `--` among the arguments for Snakemake: behind `--config a=1` it ends the values."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command line."""
        own, behind = args, []
        if "--" in args[1:]:
            end = args.index("--", 1)
            own, behind = args[:end], args[end:]
        rest = super().parse_args(ctx, own)
        ctx.args += behind
        return rest


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    rich_help_panel=START_PANEL,
    cls=_Run,
)
def run(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config file (YAML).")],
    cores: Annotated[str, typer.Option(help="CPU cores to use, or all.")] = "all",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write events for TensorBoard.")
    ] = False,
) -> None:
    """Run the whole pipeline of a config, or continue it.

    Run it again to continue where it stopped, or after you changed the config. mprd passes all
    arguments after the config to Snakemake: mprd run crops.yaml --dry-run
    """
    from mprd.cli.console import begun, failures, is_mistake, log_states, relay
    from mprd.cli.ending import last_words
    from mprd.cli.follow import following, layout_of
    from mprd.cli.given_config import require_config
    from mprd.cli.redo import redone, require_same_images
    from mprd.config import expand_runs, merge, read_yaml
    from mprd.pipeline.location import require_other, require_plain
    from mprd.pipeline.registry import check_names
    from mprd.pipeline.run_lock import require_free
    from mprd.pipeline.shared import shared_folder
    from mprd.pipeline.workflow import (
        overrides,
        snakemake,
        targets,
        why_failed,
        without_traceback,
    )

    require_config(config)
    if cores != "all" and not (cores.isdecimal() and int(cores)):
        raise UserError(f"--cores is '{cores}': give a number of CPU cores, or all.")
    runs = expand_runs(merge(read_yaml(config), overrides(context.args)), str(config))
    for one in runs:  # Snakemake, told to be quiet, would not say what is wrong
        check_names(one.config)
        require_other(one.config, layout_of(one).final)
        require_plain(one.config)
    asked, results = targets(context.args), runs[0].config.results
    _require_places(config, runs, context.args, writes=asked is not None)
    dry, verbosity = ({*words} & set(context.args) for words in (_DRY, _HOW_LOUD))
    if not dry and asked is not None:
        require_free(layout_of(one) for one in runs)
        for one in runs:
            require_same_images(one)
    quiet: list[str] = []
    if dry and not verbosity:
        quiet = ["--quiet", "rules", "host"]  # the table of jobs, not a block for each
    elif not verbosity:
        quiet = ["--quiet", "all"]
        for one in runs:
            folder, epochs = layout_of(one).folder, one.config.epochs
            what = many(epochs, "epoch") if epochs else "no training"
            say(f"{one.name}: {what}, into {folder} (more: mprd status {pasted(folder)})")
            if asked == ():
                for line in redone(one):
                    say(line, flush=True)
    # Behind the last comes what the user gave, which may end with `-- FILE`.
    arguments = [*quiet, "--cores", cores, *context.args]
    logs = [layout_of(one).logs for one in runs] + [shared_folder(results)]
    before = log_states([*logs, *results.glob("*.log")])
    with following(runs, tensorboard=tensorboard) as look:
        status = relay(without_traceback(snakemake(config, *arguments)), logs, look)
    logs += results.glob("*.log")  # of what is made from all runs
    if status:
        said = failures(logs, before)
        if not said and not verbosity:
            said = [why_failed(config, context.args, asked or ())]
        say(*"\n".join(said).split("\n"), file=sys.stderr)
        raise typer.Exit(2 if said and all(map(is_mistake, said)) else status)
    if asked is not None and not verbosity & _QUIET:
        say(*last_words(runs, asked, ran=bool(begun(logs, before))))


def _require_places(
    config: Path, runs: Sequence["Run"], arguments: Sequence[str], *, writes: bool
) -> None:
    """Check all folders that a run writes into: Snakemake would fail there without a word."""
    from mprd.artifacts.places import require_writable
    from mprd.cli.follow import layout_of
    from mprd.pipeline.shared import shared_folder
    from mprd.pipeline.workflow import option

    here = Path(option(arguments, "--directory", "-d") or ".")
    results = runs[0].config.results
    for path in (config, here.absolute(), results):
        if not is_utf8(path):
            raise UserError(
                f"'{path}' is no UTF-8, which Snakemake needs. Rename it, or go elsewhere."
            )
    notes = here / ".snakemake"
    try:
        require_writable(notes if notes.is_dir() else here)
    except UserError as error:
        raise UserError(
            f"{error} Snakemake keeps its notes in .snakemake of the folder in which `mprd run` is "
            "called: call it in one of your own."
        ) from None
    if writes:
        require_writable(here / results)
    for folder in (results, shared_folder(results), *(layout_of(one).folder for one in runs)):
        if (here / folder).exists():
            if writes:
                require_writable(here / folder)
            os.listdir(here / folder)
