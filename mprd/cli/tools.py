"""Tables, artifacts and configurations for people."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import (
    MORE_PANEL,
    RESULTS_PANEL,
    START_PANEL,
    ConfigOption,
    Listing,
    OutOption,
    app,
)
from mprd.errors import UserError, many, say
from mprd.pipeline.layout import RunLayout, describe, run_of

config_app = typer.Typer(
    cls=Listing, help="Check, complete and document configurations.", no_args_is_help=True
)
app.add_typer(config_app, name="config", rich_help_panel=MORE_PANEL)


@app.command(rich_help_panel=MORE_PANEL)
def table(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a metrics.csv / summary.csv.")],
    out: Annotated[Path | None, typer.Option(help="CSV to write; else only print.")] = None,
) -> None:
    """Collect the metrics of a run, or print a table."""
    from mprd.report.tables import print_table, read_table
    from mprd.stages.table import run_table

    if run.is_dir():
        run_of(run)
        out = out or RunLayout(run).table
        run_table(run=run, out=out)
        run = out
    print_table(read_table(run), run)


@app.command(rich_help_panel=MORE_PANEL)
def summary(
    out: OutOption,
    tables: Annotated[list[str], typer.Argument(help="VARIANT=metrics.csv of every run.")],
) -> None:
    """Average runs: mean and standard deviation over seeds."""
    from mprd.stages.table import run_summary

    pairs = [item.partition("=") for item in tables]
    if any(not path for _, _, path in pairs):
        raise UserError("Each argument is VARIANT=metrics.csv.")
    run_summary(
        tables=[Path(path) for _, _, path in pairs],
        variants=[variant for variant, _, _ in pairs],
        out=out,
    )


@app.command(rich_help_panel=MORE_PANEL)
def needs(
    index: Annotated[Path, typer.Option(help="index.h5 of a run, or of `mprd index`.")],
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate the memory and time that each stage will take.

    Upper estimates, as the cluster profiles ask for: minutes of one CPU core, three times what was
    measured and five more. Stages of an epoch (the line sums them up) run once an epoch.

    Example: mprd needs --config results/demo/config.yaml --index results/demo/index.h5
    """
    from dataclasses import asdict

    from mprd.config import load_config
    from mprd.stages.needs import stage_needs

    found = stage_needs(index, load_config(config))
    if as_json:
        print(json.dumps({stage: asdict(need) for stage, need in found.items()}))
        return
    print(f"{'stage':<10}{'GiB':>8}{'minutes':>10}{'with a GPU':>12}")
    for stage, need in found.items():
        minutes = (need.seconds / 60, need.gpu_seconds / 60)
        print(f"{stage:<10}{need.memory / 2**30:>8.1f}{minutes[0]:>10.0f}{minutes[1]:>12.0f}")


@app.command(rich_help_panel=START_PANEL)
def report(
    runs: Annotated[list[Path], typer.Argument(help="Folder of a finished run, or of several.")],
    out: Annotated[
        Path | None, typer.Option(help="HTML to write. Default: report.html of the run.")
    ] = None,
) -> None:
    """Draw a run, or several, as one page.

    Example: mprd report results/demo
    """
    from mprd.stages.report import run_comparison, run_report

    if len(runs) == 1:
        out = out or RunLayout(runs[0]).report
        run_report(run=runs[0], out=out)
    else:
        if out is None:
            raise UserError("Name the page of several runs with --out.")
        run_comparison(runs=runs, out=out)
    say(out)


@app.command(rich_help_panel=RESULTS_PANEL)
def pairs(
    run: Annotated[Path, typer.Option(help="Folder of a run.")],
    out: Annotated[Path, typer.Option(help="CSV to write; an existing one is kept.")],
    count: Annotated[int, typer.Option(min=2, help="Pairs to write.")] = 300,
    epoch: Annotated[int | None, typer.Option(min=1, help="Default: the last one.")] = None,
) -> None:
    """Write the pairs most worth judging by a person.

    Judged, they are the file of gcn.metadata.source: pairs.
    """
    from mprd.stages.pairs import run_pairs

    run_pairs(run=run, out=out, count=count, epoch=epoch)


@config_app.command("check")
def config_check(file: Annotated[Path, typer.Argument(help="Config file (YAML).")]) -> None:
    """Check a config file and list its runs.

    Settings, names, and that the files and folders it names are there.
    """
    from mprd.cli.given_config import require_config
    from mprd.config import expand_runs, read_yaml
    from mprd.data.datasets.registry import canonical_name
    from mprd.pipeline.idle import idle_settings
    from mprd.pipeline.registry import check_names
    from mprd.pipeline.settings import missing_files

    require_config(file)
    runs = expand_runs(read_yaml(file), str(file))
    for sentence in idle_settings([run.config for run in runs]):
        say(f"note: {sentence}")
    for run in runs:
        check_names(run.config)
        if run.config.data.reader is None:
            canonical_name(run.config.data.dataset)
        for sentence in missing_files(run.config):
            say(f"note: {sentence}")
        say(
            f"{run.name}: seed {run.seed}, {many(run.config.epochs, 'epoch')}, "
            f"{run.config.data.dataset}"
        )


@config_app.command("reference")
def config_reference(
    root: Annotated[Path, typer.Option(help="Root of the repository.")] = Path("."),
) -> None:
    """Generate config/README.md, config/schema.json, and docs/: artifacts, memory and stages.md."""
    from mprd.artifacts import reference as artifacts
    from mprd.config import reference as config
    from mprd.pipeline import reference as stages
    from mprd.report import columns
    from mprd.system import ram_reference

    if not (root / "docs").is_dir():
        raise UserError(f"{root} is not the root of the repository: it has no folder docs.")
    for path, text in (
        (root / "config" / "README.md", config.markdown()),
        (root / "config" / "schema.json", config.json_schema()),
        (root / "docs" / "artifacts.md", artifacts.markdown(describe(), columns.markdown())),
        (root / "docs" / "memory.md", ram_reference.markdown(stages.memory_table())),
        (root / "docs" / "stages.md", stages.markdown()),
    ):
        path.write_text(text, encoding="utf-8")
        say(path)
