"""Commands of the stages that make and use the CNN."""

from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import (
    ConfigOption,
    IndexOption,
    ModelOption,
    OutOption,
    PixelsOption,
    RanksOption,
    ThreadsOption,
    app,
)
from mprd.cli.launch import run_shared
from mprd.errors import UserError
from mprd.pipeline.inputs import EpochInputs
from mprd.pipeline.layout import EpochLayout, FinalLayout
from mprd.system.cpus import worker_count


@app.command()
def init(
    index: IndexOption,
    pixels: PixelsOption,
    out: OutOption,
    metrics: Annotated[Path | None, typer.Option(help="JSON of the warm-up losses.")] = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Make the initial CNN.

    By init.method: imagenet, checkpoint, warmup or random.
    """
    from mprd.config import load_config
    from mprd.stages.init import run_init

    settings = load_config(config)
    run_shared(
        settings,
        threads,
        lambda: run_init(index=index, pixels=pixels, out=out, metrics=metrics, config=settings),
    )


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
    from mprd.stages.features import run_features

    splits = tuple(split.split(","))
    unknown = set(splits) - set(SPLITS)
    if unknown:
        raise UserError(f"--split {sorted(unknown)[0]} is not one of {', '.join(SPLITS)}.")
    settings = load_config(config)
    run_shared(
        settings,
        threads,
        lambda: run_features(
            index=index, pixels=pixels, model=model, out=out, config=settings, splits=splits
        ),
    )


@app.command()
def graph(
    features: Annotated[Path, typer.Option(help="features.h5")],
    out: OutOption,
    index: Annotated[Path | None, typer.Option(help="index.h5 (for graph.cameras)")] = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Find neighbours and k-reciprocal Jaccard distances."""
    from mprd.config import load_config
    from mprd.stages.graph import run_graph

    run_graph(
        features=features,
        index=index,
        out=out,
        config=load_config(config),
        threads=worker_count(threads),
    )


@app.command()
def cluster(
    index: IndexOption,
    graph: Annotated[Path, typer.Option(help="graph.h5")],
    out: OutOption,
    judgements: Annotated[
        Path | None, typer.Option(help="judgements.h5 (cluster.relation: judged)")
    ] = None,
    previous: Annotated[
        Path | None, typer.Option(help="clusters.h5 of the epoch before (cluster.self_paced)")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Cluster the training images: pseudo-labels."""
    from mprd.config import load_config
    from mprd.stages.cluster import run_cluster

    run_cluster(
        index=index,
        graph=graph,
        out=out,
        config=load_config(config),
        judgements=judgements,
        previous=previous,
    )


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
    graph: Annotated[Path | None, typer.Option(help="graph.h5 of this epoch (use_gcn)")] = None,
    ranks: RanksOption = None,
    metadata: Annotated[Path | None, typer.Option(help="metadata.h5 (use_gcn)")] = None,
    gcn: Annotated[
        Path | None, typer.Option(help="GCN of the epoch before, or pre-trained (use_gcn)")
    ] = None,
    provisional_clusters: Annotated[
        Path | None,
        typer.Option("--drafts", help="drafts.h5 of this epoch (cluster.relation: judged)"),
    ] = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Train the CNN for one epoch."""
    from mprd.config import load_config
    from mprd.stages.train import run_train

    inputs = EpochInputs(
        index=index,
        pixels=pixels,
        features=features,
        clusters=clusters,
        model=model,
        previous_clusters=previous_clusters,
        state=state,
        graph=graph,
        ranks=ranks,
        metadata=metadata,
        gcn=gcn,
        provisional_clusters=provisional_clusters,
    )
    settings = load_config(config)
    run_shared(
        settings,
        threads,
        lambda: run_train(inputs, out=EpochLayout(out), epoch=epoch, config=settings),
    )


@app.command()
def epochs(
    run: Annotated[Path, typer.Option(help="Folder of a run.")],
    first: Annotated[int, typer.Option(min=1, help="First epoch, from 1.")],
    last: Annotated[int, typer.Option(min=1, help="Last epoch.")],
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Do several epochs in one process."""
    from mprd.config import load_config
    from mprd.stages.epochs import run_epochs

    if last < first:
        raise UserError(f"--last {last} is before --first {first}.")
    settings = load_config(config)
    run_shared(
        settings,
        threads,
        lambda: run_epochs(
            run, first=first, last=last, config=settings, threads=worker_count(threads)
        ),
    )


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
    from mprd.stages.evaluate import run_evaluate

    if (model is None) == (baseline is None):
        raise UserError("Give either --model or --baseline.")
    settings = load_config(config)
    run_shared(
        settings,
        threads,
        lambda: run_evaluate(
            index=index,
            pixels=pixels,
            out=out,
            rankings=rankings,
            config=settings,
            model=model,
            baseline=baseline,
        ),
    )


@app.command()
def export(
    index: IndexOption,
    pixels: PixelsOption,
    model: ModelOption,
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    gcn: Annotated[
        Path | None, typer.Option(help="GCN of the last epoch (cluster.relation: judged)")
    ] = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Write the final model, embeddings and clusters."""
    from mprd.config import load_config
    from mprd.stages.export import run_export

    settings = load_config(config)
    run_shared(
        settings,
        threads,
        lambda: run_export(
            index=index,
            pixels=pixels,
            model=model,
            out=FinalLayout(out),
            config=settings,
            threads=threads,
            gcn=gcn,
        ),
    )
