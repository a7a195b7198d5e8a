"""Options of the commands that use a model on images."""

from pathlib import Path
from typing import Annotated

import typer

from mprd.data.leaving_out import OPTION, advise
from mprd.errors import UserError

ModelFile = Annotated[Path, typer.Option("--model", help="model.safetensors of a run.")]
Images = Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")]
SomeImages = Annotated[
    list[Path] | None, typer.Argument(help="Image files, or folders. Optional with --features.")
]
FeaturesOption = Annotated[
    Path | None,
    typer.Option(
        "--features",
        help="Features of the images by another network, in place of a model: .npy, .safetensors "
        "or HDF5, rows by path or in the order of the images.",
    ),
]


def _advise(skip: bool) -> bool:
    """Let messages about damaged images name this option."""
    advise(OPTION)
    return skip


SkipOption = Annotated[
    bool,
    typer.Option(OPTION, callback=_advise, help="Leave out damaged images and name each of them."),
]
TimesOption = Annotated[
    bool,
    typer.Option(
        "--times",
        help="Let times speak, too, as the run has learnt them (use_time). Time and camera of an "
        "image: by data.time and data.camera of the run, or --manifest.",
    ),
]
ManifestOption = Annotated[
    Path | None,
    typer.Option(help="With --times: CSV or Parquet with path, camera, time or frame of images."),
]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", help="HTML page with pictures to write.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def require_model(features: Path | None, skip_unreadable: bool) -> None:
    """Check that images are read where some are to be left out.

    Raises:
        UserError: they are not.
    """
    if features is not None and skip_unreadable:
        raise UserError("--features reads no image: leave --skip-unreadable out.")
