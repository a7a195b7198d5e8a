"""Commands for people with images of their own."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mprd.cli.app import START_PANEL, app
from mprd.errors import UserError
from mprd.system.threads import worker_count

if TYPE_CHECKING:
    from mprd.starter.survey import Survey

_FEW = 50
_DRY, _QUIET = ("-n", "--dry-run"), {"-q", "--quiet"}
_HOW_LOUD = (*_QUIET, "--verbose", "-p", "--printshellcmds")


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
        bool, typer.Option("--train", help="Train, also where it is unlikely to pay.")
    ] = False,
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
    print("\n".join(last))


def _new(
    out: Path, found: "Survey", weights: Path | None, backbone: str | None, *, train: bool
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
    from mprd.starter.training import choose_training
    from mprd.system.durations import duration
    from mprd.system.ram import usable
    from mprd.system.torch_setup import has_gpu

    start = published_start(backbone) if backbone else None
    if weights:
        start = known_start(weights, image_size(found.aspect))
    shape = start.architecture if start else None
    size = (shape.height, shape.width) if shape else image_size(found.aspect)
    cores, gpu, rate = worker_count(None), has_gpu(), start.rate if start else None
    choice = choose_training(found.images, weights=start is not None, wanted=train)
    if choice.epochs:
        plan = recipe(found, size)
        lasts = duration(seconds(plan, found, measured_step(plan, start)))
        write_config(out, found, plan, lasts, start)
    else:
        lasts = duration(untrained_seconds(found, size, cores, gpu=gpu, rate=rate))
        write_untrained_config(out, found, size, lasts, choice.why, start)
    return [
        *([str(start)] if start else []),
        f"{cores} CPU cores, {usable() / 2**30:.0f} GiB free{', a GPU' if gpu else ''}",
        f"{found.images:,} images: {choice.why}"
        + ("" if choice.epochs else "; mprd new --train trains all the same"),
        f"\nWrote {out}. Check it, then run: mprd run {out}  (about {lasts})",
    ]


def _new_without_network(out: Path, found: "Survey", features: Path) -> list[str]:
    """Write a config with features of another network, and return what to say last."""
    from mprd.inference.given_features import given_images
    from mprd.starter.recipe import write_features_config

    rows, dim = given_images(features, [found.root])[1].shape
    write_features_config(out, found, features)
    return [
        f"features in {features}: {rows:,} images, {dim} dimensions",
        f"\nWrote {out}. Check it, then run: mprd run {out}  (nothing is trained)",
    ]


def _say_found(found: "Survey") -> None:
    """Print what was found in a folder."""
    named = [f"{name} ({images:,})" for name, images in found.cameras.items()]
    cameras = f"{len(named)}, with images: {', '.join(named)}" if named else "not found"
    kinds = ", ".join(f"{count:,} {kind[1:]}" for kind, count in sorted(found.kinds.items()))
    print(f"{found.images:,} images ({kinds}), median size {found.height}x{found.width} pixels")
    print(f"cameras in their paths: {cameras}")
    for note in found.notes:
        print(f"  {note}")
    if found.times:
        print(
            f"times in their paths ({found.times.form}); check that this is when they were taken:"
        )
        for line in (*found.ranges, *found.time_notes):
            print(f"  {line}")
    else:
        print("times in their paths: not found")
    if found.track:
        print(f"tracks in their paths: {found.tracks:,}; check that each shows one object")
    if found.unreadable:
        print(f"mprd will leave out unreadable images, such as '{found.unreadable[0]}'")
    if found.images < _FEW:
        print(f"{found.images} images are few. Below {_FEW}, expect poor clusters.")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    rich_help_panel=START_PANEL,
)
def run(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Config file (YAML).")],
    cores: Annotated[str, typer.Option(help="CPU cores to use, or all.")] = "all",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write events for TensorBoard.")
    ] = False,
) -> None:
    """Run the whole pipeline of a config, or continue it.

    Run it again to continue where it stopped, or after you changed the config. mprd passes all
    arguments after the config to Snakemake: mprd run crops.yaml --dry-run
    """
    import time

    from mprd.artifacts.files import require_writable
    from mprd.cli.console import begun, failures, is_mistake, relay
    from mprd.cli.ending import last_words
    from mprd.cli.follow import following, layout_of
    from mprd.cli.redo import redone
    from mprd.config import expand_runs, merge, read_yaml
    from mprd.pipeline.location import require_other
    from mprd.pipeline.registry import check_names
    from mprd.pipeline.run_lock import require_free
    from mprd.pipeline.shared import shared_folder
    from mprd.pipeline.workflow import overrides, snakemake, targets, why_failed

    runs = expand_runs(merge(read_yaml(config), overrides(context.args)), str(config))
    for one in runs:  # Snakemake, told to be quiet, would not say what is wrong
        check_names(one.config)
        require_other(one.config, layout_of(one).final)
    asked, results = targets(context.args), runs[0].config.results
    if asked is not None:
        require_writable(results)
    arguments = ["--cores", cores, *context.args]
    dry, verbosity = ({*words} & set(context.args) for words in (_DRY, _HOW_LOUD))
    if dry and not verbosity:
        arguments += ["--quiet", "rules", "host"]  # the table of jobs, not a block for each
    elif not verbosity:
        arguments += ["--quiet", "all"]
        require_free(layout_of(one) for one in runs)
        for one in runs:
            folder, epochs = layout_of(one).folder, one.config.epochs
            many = f"{epochs} epoch{'' if epochs == 1 else 's'}" if epochs else "no training"
            print(f"{one.name}: {many}, into {folder} (more: mprd status {folder})")
            if asked == ():
                print("".join(f"{line}\n" for line in redone(one)), end="", flush=True)
    logs, start = [layout_of(one).logs for one in runs] + [shared_folder(results)], time.time()
    with following(runs, tensorboard=tensorboard) as look:
        status = relay(snakemake(config, *arguments), logs, look)
    logs += results.glob("*.log")  # of what is made from all runs
    if status:
        said = failures(logs, start)
        print("\n".join(said or [why_failed(config, *arguments)]), file=sys.stderr)
        raise typer.Exit(2 if said and all(map(is_mistake, said)) else status)
    if asked is not None and not verbosity & _QUIET:
        print("\n".join(last_words(runs, asked, ran=bool(begun(logs, start)))))
