"""The application object and the options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="mprd",
    help="Unsupervised re-identification, stage by stage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Config file (YAML). Default: all defaults.")
]
IndexOption = Annotated[Path, typer.Option(help="index.h5")]
PixelsOption = Annotated[Path, typer.Option(help="pixels.h5")]
ModelOption = Annotated[Path, typer.Option(help="model.safetensors")]
OutOption = Annotated[Path, typer.Option(help="File to write.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads. Default: all.")]
