"""Commands of the relation GCN."""

from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import (
    ConfigOption,
    IndexOption,
    OutOption,
    PixelsOption,
    RanksOption,
    ThreadsOption,
    app,
)
from mprd.cli.launch import run_shared
from mprd.pipeline.inputs import InitialFiles, JudgeInputs


@app.command()
def metadata(
    index: IndexOption,
    pixels: PixelsOption,
    model: Annotated[Path, typer.Option(help="model.safetensors before the first epoch")],
    features: Annotated[Path, typer.Option(help="features.h5 of that model")],
    graph: Annotated[Path, typer.Option(help="graph.h5 of these features")],
    out: OutOption,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Collect a few certain pairs for the relation GCN."""
    from mprd.config import load_config
    from mprd.stages.metadata import run_metadata
    from mprd.system.torch_setup import set_up_cpu

    set_up_cpu(threads)
    inputs = InitialFiles(index=index, pixels=pixels, model=model, features=features, graph=graph)
    run_metadata(inputs, out=out, config=load_config(config))


@app.command()
def pretrain(
    index: IndexOption,
    pixels: PixelsOption,
    model: Annotated[Path, typer.Option(help="model.safetensors before the first epoch")],
    features: Annotated[Path, typer.Option(help="features.h5 of epoch 1")],
    graph: Annotated[Path, typer.Option(help="graph.h5 of epoch 1")],
    clusters: Annotated[
        Path, typer.Option(help="clusters.h5 of epoch 1, or its drafts.h5 (judged)")
    ],
    metadata: Annotated[Path, typer.Option(help="metadata.h5")],
    out: OutOption,
    metrics: Annotated[Path, typer.Option(help="JSON of losses and quality to write.")],
    ranks: RanksOption = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Pre-train the relation GCN."""
    from mprd.config import load_config
    from mprd.stages.pretrain import run_pretrain
    from mprd.system.torch_setup import set_up_cpu

    set_up_cpu(threads)
    inputs = InitialFiles(index=index, pixels=pixels, model=model, features=features, graph=graph)
    run_pretrain(
        inputs,
        clusters=clusters,
        metadata=metadata,
        out=out,
        metrics=metrics,
        config=load_config(config),
        ranks=ranks,
    )


@app.command()
def ranks(
    index: IndexOption,
    features: Annotated[Path, typer.Option(help="features.h5 of the epoch")],
    out: OutOption,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Search the similarity to each camera's images, for the GCN.

    Needed with graph.backend: ivf alone; otherwise the GCN's stages compare all images themselves.
    """
    from mprd.config import load_config
    from mprd.stages.ranks import run_ranks
    from mprd.system.torch_setup import set_up_cpu

    set_up_cpu(threads)
    run_ranks(index=index, features=features, out=out, config=load_config(config))


@app.command()
def judge(
    index: IndexOption,
    features: Annotated[Path, typer.Option(help="features.h5 of the epoch")],
    graph: Annotated[Path, typer.Option(help="graph.h5 of the epoch")],
    provisional_clusters: Annotated[Path, typer.Option("--drafts", help="drafts.h5 of the epoch")],
    gcn: Annotated[Path, typer.Option(help="GCN of the epoch before, or pre-trained")],
    out: OutOption,
    ranks: RanksOption = None,
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Ask the relation GCN about every stored pair of a graph."""
    from mprd.config import load_config
    from mprd.stages.judge import run_judge

    inputs = JudgeInputs(
        index=index,
        features=features,
        graph=graph,
        provisional_clusters=provisional_clusters,
        gcn=gcn,
        ranks=ranks,
    )
    settings = load_config(config)
    run_shared(settings, threads, lambda: run_judge(inputs, out=out, config=settings))


@app.command()
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
