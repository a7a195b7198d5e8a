"""Commands for people with images of their own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mprd.cli.app import START_PANEL, app
from mprd.data.leaving_out import advise
from mprd.errors import UserError, many, pasted, say
from mprd.system.threads import worker_count

if TYPE_CHECKING:
    from mprd.starter.survey import Survey

_FEW = 50


@app.command(rich_help_panel=START_PANEL)
def new(
    folder: Annotated[Path, typer.Argument(help="Folder of your images, nested or not.")],
    out: Annotated[
        Path | None, typer.Option(help="Config file to write. Default: <name of the folder>.yaml.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Weights file to start from, such as one trained on people."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="Network to start from: timm/NAME or timm/hf-hub:OWNER/NAME."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="Features of another network, for a run without training."),
    ] = None,
    train: Annotated[
        bool | None,
        typer.Option(
            help="Train, also where no gain was measured; or only cluster the start features."
        ),
    ] = None,
) -> None:
    """Look at your images and write a config that fits them.

    --weights recognises OSNets of torchreid, ResNets of several projects, networks of timm and
    models of mprd by their tensors (docs/howto/weights.md). --backbone takes a published network as
    it is, such as timm/hf-hub:BVRA/MegaDescriptor-T-224. --features takes .npy, .safetensors or
    HDF5, one row for each image (docs/howto/features.md).

    Example: mprd new /path/to/crops, then: mprd run crops.yaml
    """
    from mprd.starter.recipe import run_name
    from mprd.starter.survey import survey

    if weights is not None and features is not None:
        raise UserError("--features needs no network, --weights is one: give one of them.")
    if backbone is not None and not weights is features is None:
        raise UserError("--backbone, --weights and --features exclude each other: give one.")
    if train and features is not None:
        raise UserError("--train needs a network, and --features has none: leave one of them out.")
    advise("")  # there are no settings yet
    try:
        folder = folder.expanduser()
    except RuntimeError:
        raise UserError(f"{folder} names the home of a user who is not known.") from None
    found = survey(folder)
    out = out or Path(f"{run_name(folder.resolve())}.yaml")
    last = (
        _new_without_network(out, found, features)
        if features
        else _new(out, found, weights, backbone, train=train)
    )
    _say_found(found)
    say(*last)


def _new(
    out: Path, found: "Survey", weights: Path | None, backbone: str | None, *, train: bool | None
) -> list[str]:
    """Write a config with a network, and return what to say last."""
    from mprd.starter.pace import measured_step
    from mprd.starter.recipe import (
        image_size,
        recipe,
        seconds,
        untrained_seconds,
        write_config,
        write_untrained_config,
    )
    from mprd.starter.start import known_start, published_start
    from mprd.starter.training import Kind, choose_training
    from mprd.system.durations import duration
    from mprd.system.ram import usable
    from mprd.system.torch_setup import has_gpu

    start = published_start(backbone) if backbone else None
    if weights:
        start = known_start(weights, image_size(found.aspect))
    shape = start.architecture if start else None
    size = (shape.height, shape.width) if shape else image_size(found.aspect)
    cores, gpu, rate = worker_count(None), has_gpu(), start.rate if start else None
    kind: Kind = "published" if backbone else "weights" if weights else "imagenet"
    choice = choose_training(found.images, kind, wanted=train)
    if choice.epochs:
        plan = recipe(found, size)
        lasts = duration(seconds(plan, found, measured_step(plan, start)))
        write_config(out, found, plan, lasts, start)
    else:
        lasts = duration(untrained_seconds(found, size, cores, gpu=gpu, rate=rate))
        write_untrained_config(out, found, size, lasts, choice.why, start)
    return [
        *([str(start)] if start else []),
        f"{many(cores, 'CPU core')}, {usable() / 2**30:.0f} GiB free{', a GPU' if gpu else ''}",
        f"{many(found.images, 'image')}: {choice.why}"
        + ("; mprd new --train trains all the same" if choice.unmeasured else ""),
        "",
        f"Wrote {out}. Check it, then run: mprd run {pasted(out)}  (about {lasts})",
    ]


def _new_without_network(out: Path, found: "Survey", features: Path) -> list[str]:
    """Write a config with features of another network, and return what to say last."""
    from mprd.inference.feature_files import matched_features
    from mprd.starter.recipe import write_features_config

    places = [(found.root / path).resolve() for path in found.paths]
    rows, dim = matched_features(features, found.paths, places).shape
    write_features_config(out, found, features)
    return [
        f"features in {features}: {many(rows, 'image')}, {many(dim, 'dimension')}",
        "",
        f"Wrote {out}. Check it, then run: mprd run {pasted(out)}  (nothing is trained)",
    ]


def _say_found(found: "Survey") -> None:
    """Print what was found in a folder."""
    named = [f"{name} ({images:,})" for name, images in found.cameras.items()]
    cameras = f"{len(named)}, with images: {', '.join(named)}" if named else "not found"
    kinds = ", ".join(f"{count:,} {kind[1:]}" for kind, count in sorted(found.kinds.items()))
    say(f"{many(found.images, 'image')} ({kinds}), median size {found.height}x{found.width} pixels")
    say(f"cameras in their paths: {cameras}")
    for note in found.notes:
        say(f"  {note}")
    if found.times:
        say(f"times in their paths ({found.times.form}); check that this is when they were taken:")
        for line in (*found.ranges, *found.time_notes):
            say(f"  {line}")
    else:
        say("times in their paths: not found")
    if found.track:
        say(f"tracks in their paths: {found.tracks:,}; check that each shows one object")
    if found.unreadable:
        say(
            f"{len(found.unreadable):,} of {found.looked_at:,} images looked at cannot be read, "
            f"such as '{found.unreadable[0]}': mprd will leave out such images"
        )
    if found.images < _FEW:
        say(f"That is few: {many(found.images, 'image')}. Below {_FEW}, expect poor clusters.")
