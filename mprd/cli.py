"""The command line: one sub-command per stage, and tools to look at artifacts.

Heavy imports happen inside the commands, so that `mprd --help` and light stages start fast.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mprd.errors import UserError

app = typer.Typer(
    name="mprd",
    help="Unsupervised re-identification, stage by stage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Check, complete and document configurations.", no_args_is_help=True)
app.add_typer(config_app, name="config")

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Config file (YAML). Default: all defaults.")
]
IndexOption = Annotated[Path, typer.Option(help="index.h5")]
PixelsOption = Annotated[Path, typer.Option(help="pixels.h5")]
ModelOption = Annotated[Path, typer.Option(help="model.safetensors")]
OutOption = Annotated[Path, typer.Option(help="File to write.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads. Default: all.")]


@app.command()
def synthesize(
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Draw the synthetic data set (Market-1501 layout)."""
    from mprd.config import load_config
    from mprd.stages.synthesize import run_synthesize

    count = run_synthesize(out, load_config(config), _threads(threads))
    print(f"{count:,} images in {out}")


@app.command()
def index(
    out: OutOption,
    config: ConfigOption = None,
    dataset: Annotated[str | None, typer.Option(help="Data set name, or `folder`.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    threads: ThreadsOption = None,
) -> None:
    """List the images of a data set: split, identity, camera, size, checksum."""
    from mprd.config import load_config
    from mprd.stages.index import run_index

    settings = load_config(config)
    if dataset is not None:
        settings = settings.model_copy(
            update={"data": settings.data.model_copy(update={"dataset": dataset})}
        )
    run_index(out, settings, data_dir, _threads(threads))


@app.command()
def pixels(
    index: IndexOption,
    out: OutOption,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Decode and resize every image of an index, once."""
    from mprd.config import load_config
    from mprd.stages.pixels import run_pixels

    run_pixels(index, out, load_config(config), _threads(threads))


@app.command()
def init(
    index: IndexOption,
    pixels: PixelsOption,
    out: OutOption,
    metrics: Annotated[Path | None, typer.Option(help="JSON of the warm-up losses.")] = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Make the initial CNN: imagenet, checkpoint, warmup or random."""
    from mprd.config import load_config
    from mprd.runtime import set_threads
    from mprd.stages.init import run_init

    set_threads(threads)
    run_init(index, pixels, out, metrics, load_config(config))


@app.command()
def features(
    index: IndexOption,
    pixels: PixelsOption,
    model: ModelOption,
    out: OutOption,
    split: Annotated[
        str, typer.Option(help="train, query, gallery, or several, comma-separated.")
    ] = "train",
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Embed the images of one or more splits."""
    from mprd.artifacts import SPLITS
    from mprd.config import load_config
    from mprd.runtime import set_threads
    from mprd.stages.features import run_features

    splits = tuple(split.split(","))
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise UserError(f"--split {sorted(unknown)[0]} is not one of {', '.join(SPLITS)}.")
    set_threads(threads)
    run_features(index, pixels, model, out, load_config(config), splits)


@app.command()
def graph(
    features: Annotated[Path, typer.Option(help="features.h5")],
    out: OutOption,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Find nearest neighbours and sparse k-reciprocal Jaccard distances."""
    from mprd.config import load_config
    from mprd.stages.graph import run_graph

    run_graph(features, out, load_config(config), _threads(threads))


@app.command()
def cluster(
    index: IndexOption,
    graph: Annotated[Path, typer.Option(help="graph.h5")],
    out: OutOption,
    config: ConfigOption = None,
) -> None:
    """Give pseudo-labels by DBSCAN."""
    from mprd.config import load_config
    from mprd.stages.cluster import run_cluster

    run_cluster(index, graph, out, load_config(config))


@app.command()
def train(
    index: IndexOption,
    pixels: PixelsOption,
    features: Annotated[Path, typer.Option(help="features.h5 of this epoch")],
    clusters: Annotated[Path, typer.Option(help="clusters.h5 of this epoch")],
    model: Annotated[Path, typer.Option(help="model.safetensors of the epoch before")],
    epoch: Annotated[int, typer.Option(min=1, help="Number of this epoch, from 1.")],
    out: Annotated[Path, typer.Option(help="Folder of this epoch.")],
    previous_clusters: Annotated[
        Path | None, typer.Option(help="clusters.h5 of the epoch before")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="state.pt of the epoch before")] = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Train the CNN for one epoch."""
    from mprd.config import load_config
    from mprd.runtime import set_threads
    from mprd.stages.train import TrainInputs, run_train

    set_threads(threads)
    inputs = TrainInputs(index, pixels, features, clusters, model, previous_clusters, state)
    run_train(inputs, out, epoch, load_config(config))


@app.command()
def evaluate(
    index: IndexOption,
    pixels: PixelsOption,
    out: OutOption,
    rankings: Annotated[Path, typer.Option(help="rankings.h5 to write.")],
    model: Annotated[Path | None, typer.Option(help="model.safetensors")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Instead of a model: random or histogram.")
    ] = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Measure mAP, CMC and mINP of a model or a baseline."""
    from mprd.config import load_config
    from mprd.runtime import set_threads
    from mprd.stages.evaluate import run_evaluate

    if (model is None) == (baseline is None):
        raise UserError("Give either --model or --baseline.")
    if baseline not in (None, "random", "histogram"):
        raise UserError(f"--baseline {baseline} is not one of random, histogram.")
    set_threads(threads)
    run_evaluate(
        index,
        pixels,
        out,
        rankings,
        load_config(config),
        model=model,
        baseline=baseline,  # type: ignore[arg-type]
    )


@app.command()
def export(
    index: IndexOption,
    pixels: PixelsOption,
    model: ModelOption,
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write the final model, embeddings of all images, and clusters.csv."""
    from mprd.config import load_config
    from mprd.runtime import set_threads
    from mprd.stages.export import run_export

    set_threads(threads)
    run_export(index, pixels, model, out, load_config(config), threads)


@app.command()
def table(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or a metrics.csv / summary.csv.")],
    out: Annotated[Path | None, typer.Option(help="CSV to write; else only print.")] = None,
) -> None:
    """Collect the figures of a run into metrics.csv, or print a table."""
    from mprd.stages.table import read_table, run_table
    from mprd.tables import print_table

    if run.is_dir():
        out = out or run / "metrics.csv"
        run_table(run, out)
        run = out
    print_table(read_table(run), run)


@app.command()
def summary(
    out: OutOption,
    tables: Annotated[list[str], typer.Argument(help="VARIANT=metrics.csv of every run.")],
) -> None:
    """Average runs: mean and standard deviation over seeds."""
    from mprd.stages.table import run_summary

    pairs = [item.partition("=") for item in tables]
    if any(not path for _, _, path in pairs):
        raise UserError("Each argument is VARIANT=metrics.csv.")
    run_summary([Path(path) for _, _, path in pairs], [variant for variant, _, _ in pairs], out)


@app.command()
def inspect(file: Annotated[Path, typer.Argument(help="An HDF5 or safetensors artifact.")]) -> None:
    """Print what an artifact holds and where it comes from, and check it."""
    from mprd.inspection import inspect_file

    inspect_file(file)


@config_app.command("check")
def config_check(file: Annotated[Path, typer.Argument(help="Config file (YAML).")]) -> None:
    """Check a config file and list its runs."""
    from mprd.config import expand_runs, read_yaml

    for run in expand_runs(read_yaml(file), str(file)):
        print(f"{run.name}: seed {run.seed}, {run.config.epochs} epochs, {run.config.data.dataset}")


@config_app.command("reference")
def config_reference(
    root: Annotated[Path, typer.Option(help="Root of the repository.")] = Path("."),
) -> None:
    """Generate config/README.md, config/schema.json and docs/artifacts.md."""
    from mprd.artifacts import reference as artifacts
    from mprd.config import reference as config

    for path, text in (
        (root / "config" / "README.md", config.markdown()),
        (root / "config" / "schema.json", config.json_schema()),
        (root / "docs" / "artifacts.md", artifacts.markdown()),
    ):
        path.write_text(text, encoding="utf-8")
        print(path)


def _threads(threads: int | None) -> int:
    import os

    return threads or len(os.sched_getaffinity(0))


def main() -> None:
    """Run the command line; a user's mistake ends with one sentence and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"mprd: error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
