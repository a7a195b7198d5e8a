"""The application object and the options that several commands share."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mprd.data.leaving_out import SETTING, advise

# Headings of `mprd --help`, in order: what people use first, stages last.
START_PANEL = "Start here"
RESULTS_PANEL = "Look at results and correct them"
USE_PANEL = "Use a trained model"
MORE_PANEL = "More tools"
STAGES_PANEL = "Stages, one by one"
PANELS = (START_PANEL, RESULTS_PANEL, USE_PANEL, MORE_PANEL, STAGES_PANEL)


class Listing(TyperGroup):
    """Lists its commands with whole summaries, under their headings where they have some."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands of each heading."""
        rows: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.commands[name]
            panel = getattr(command, "rich_help_panel", None)
            panel = panel if panel in PANELS else "Commands"
            rows.setdefault(panel, []).append((name, command.get_short_help_str(sys.maxsize)))
        for panel in sorted(rows, key=[*PANELS, "Commands"].index):
            with formatter.section(panel):
                formatter.write_dl(rows[panel])


app = typer.Typer(
    name="mprd",
    cls=Listing,
    help="Unsupervised re-identification: from images without labels to a network and clusters.\n\n"
    "Your own images: run `mprd new FOLDER`, then `mprd run` with the config that it writes. The "
    "demo: `mprd run config/config.yaml`.",
    no_args_is_help=True,
    context_settings={"max_content_width": 120},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Config file (YAML). Default: all defaults.")
]
OutOption = Annotated[Path, typer.Option(help="File to write.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads. Default: all.")]

DeviceOption = Annotated[
    str, typer.Option(help="Where to compute: auto (a GPU if there is one), cpu, cuda or cuda:N.")
]
OwnDeviceOption = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu, cuda or cuda:N. Default: that of the config."),
]

WhoOption = Annotated[
    str,
    typer.Option(
        "--as", envvar="MPRD_WHO", metavar="NAME", help="Who decides: kept with each decision."
    ),
]


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
    advise(SETTING)
