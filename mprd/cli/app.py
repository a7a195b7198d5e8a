"""The application object and the options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="mprd",
    help="Unsupervised re-identification: from images without labels to a network and clusters.\n\n"
    "Your own images: `mprd new FOLDER`, then `mprd run` with the config that it writes. The demo: "
    "`mprd run config/config.yaml`. The other commands are the stages of such a run, one by one, "
    "and tools to look at what it leaves and to use it.",
    no_args_is_help=True,
    context_settings={"max_content_width": 120},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Config file (YAML). Default: all defaults.")
]
IndexOption = Annotated[Path, typer.Option(help="index.h5")]
PixelsOption = Annotated[Path, typer.Option(help="pixels.h5")]
ModelOption = Annotated[Path, typer.Option(help="model.safetensors")]
RanksOption = Annotated[
    Path | None,
    typer.Option(help="ranks.h5 of the epoch (graph.backend: ivf); without it all are compared."),
]
OutOption = Annotated[Path, typer.Option(help="File to write.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads. Default: all.")]


def _load(files: list[Path] | None) -> list[Path] | None:
    from mprd.pipeline.registry import load_plugin

    for path in files or ():
        load_plugin(path, "--plugin")
    return files


PluginOption = Annotated[
    list[Path] | None,
    typer.Option("--plugin", callback=_load, help="Python file that registers the backbone."),
]


def _version(wanted: bool) -> None:
    if wanted:
        from mprd import __version__

        print(f"mprd {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of `mprd` itself; the text of its help is that of the application."""
