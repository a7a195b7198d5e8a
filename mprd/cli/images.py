"""Commands of the stages that read images."""

from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import ConfigOption, IndexOption, OutOption, ThreadsOption, app
from mprd.system.cpus import worker_count


@app.command()
def synthesize(
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Draw the synthetic data set (Market-1501 layout)."""
    from mprd.config import load_config
    from mprd.stages.synthesize import run_synthesize

    count = run_synthesize(out=out, config=load_config(config), threads=worker_count(threads))
    print(f"{count:,} images in {out}")


@app.command()
def index(
    out: OutOption,
    config: ConfigOption = None,
    dataset: Annotated[str | None, typer.Option(help="Data set name, or `folder`.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    threads: ThreadsOption = None,
) -> None:
    """List the images of a data set, once.

    Of each: split, identity, camera, size, checksum.
    """
    from mprd.config import load_config
    from mprd.stages.index import run_index

    settings = load_config(config)
    if dataset is not None:
        settings = settings.model_copy(
            update={"data": settings.data.model_copy(update={"dataset": dataset})}
        )
    run_index(out=out, config=settings, data_dir=data_dir, threads=worker_count(threads))


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

    run_pixels(index=index, out=out, config=load_config(config), threads=worker_count(threads))
