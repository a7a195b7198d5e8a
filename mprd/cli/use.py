"""Commands that use a model."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from mprd.cli.app import USE_PANEL, DeviceOption, OwnDeviceOption, PluginOption, app
from mprd.cli.images import (
    FeaturesOption,
    HtmlOption,
    Images,
    JsonOption,
    ManifestOption,
    ModelFile,
    SkipOption,
    SomeImages,
    TimesOption,
    require_model,
)
from mprd.cli.pages import require_files, write_page
from mprd.errors import UserError, many, pasted, say, visible


@app.command(rich_help_panel=USE_PANEL)
def embed(
    images: Images,
    model: ModelFile,
    out: Annotated[
        Path, typer.Option(help="File to write: .h5 (features, paths) or .npy (features).")
    ],
    skip_unreadable: SkipOption = False,
    device: DeviceOption = "auto",
    plugin: PluginOption = None,
) -> None:
    """Embed images for searching or other use.

    Example: mprd embed crops/ --model results/demo/final/model.safetensors --out crops.h5
    """
    from mprd.inference.embedder import load_model
    from mprd.inference.feature_files import write_array
    from mprd.inference.gallery import make_gallery, write_gallery

    if out.suffix not in (".h5", ".npy"):
        raise UserError(f"{out} must end in .h5 or .npy.")
    embedder = load_model(model, device)
    gallery = make_gallery(embedder, images, skip_unreadable=skip_unreadable)
    if out.suffix == ".h5":
        write_gallery(gallery, embedder, out)
    else:
        write_array(gallery.features, out)
    say(f"{many(len(gallery.paths), 'image')}, {many(embedder.dim, 'dimension')}: {out}")


@app.command(rich_help_panel=USE_PANEL)
def onnx(
    model: Annotated[Path, typer.Argument(help="model.safetensors of a run.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    plugin: PluginOption = None,
) -> None:
    """Write a model as ONNX.

    Input `images`: uint8 (batch, H, W, 3), RGB, resized (bicubic) to the `height` and `width` of
    the metadata. The network normalises them. Output `embeddings`: unit rows.

    Example: mprd onnx results/demo/final/model.safetensors --out model.onnx
    """
    from mprd.inference.onnx import export_onnx

    height, width, dim = export_onnx(model, out)
    say(f"{out}: images uint8 (batch, {height}, {width}, 3) -> embeddings float32 (batch, {dim})")


@app.command(rich_help_panel=USE_PANEL)
def threshold(
    run: Annotated[Path, typer.Option(help="Folder of a finished run.")],
    precision: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of pairs above it that must show one identity."),
    ] = 0.8,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="CSV of `mprd answer`. Default: ask the relation GCN; in a run without one, "
            "decisions.csv of the run."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Suggest the similarity from which images show one identity.

    Example: mprd threshold --run results/demo --precision 0.8
    """
    from dataclasses import asdict

    from mprd.inference.threshold import threshold_of_run

    found = threshold_of_run(run, precision, pairs)
    if math.isnan(found.similarity):
        raise UserError(
            f"No threshold reaches a precision of {precision:.2f}, according to {found.judge} on "
            f"{many(found.pairs, 'pair')}. Ask for a lower --precision, or judge more pairs with "
            "`mprd answer`."
        )
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    print(f"Threshold: {found.similarity:.3f}")
    if found.promised is None or found.found is None:
        print(
            f"This is the opinion of {found.judge}, a network, on {many(found.pairs, 'pair')} of "
            "images that nobody has checked. How many pairs above it are right is not known: judge "
            f"some (`mprd answer --run {pasted(run)}`) and name the file with --pairs."
        )
        return
    print(
        f"{found.promised:.0%} of the pairs at or above it show one identity.\n"
        f"{found.found:.0%} of all pairs that show one identity are at or above it.\n"
        f"Both shares are estimates by {found.judge} on {many(found.pairs, 'pair')} of training "
        "images. Among new identities the threshold finds fewer pairs."
    )


@app.command(rich_help_panel=USE_PANEL)
def assign(
    run: Annotated[Path, typer.Option(help="Folder of a finished run.")],
    images: SomeImages = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write. Default: print it.")] = None,
    features: FeaturesOption = None,
    times: TimesOption = False,
    manifest: ManifestOption = None,
    skip_unreadable: SkipOption = False,
    html: HtmlOption = None,
    device: OwnDeviceOption = None,
) -> None:
    """Assign new images to the clusters of a finished run.

    An image that is less similar to its nearest cluster than nearly all images of that cluster
    gets the number -1: it may show someone new.

    With --times, the similarity to a cluster is corrected by what the times of the image and of the
    cluster's images say.

    --html shows each new image beside the surest members of the three clusters nearest to it.

    Example: mprd assign new/ --run results/own --out new.csv --html new.html
    """
    from mprd.artifacts import atomic
    from mprd.artifacts.csv_rows import for_pandas
    from mprd.inference.assign import assign_images

    _require_times(manifest, times)
    require_model(features, skip_unreadable)
    found = assign_images(
        run,
        images or [],
        skip_unreadable=skip_unreadable,
        times=times,
        manifest=manifest,
        features=features,
        device=device,
    )
    table = found.table
    if html is not None:
        from mprd.pipeline.layout import RunLayout
        from mprd.report.page.assign_page import assign_page

        require_files(found.files)
        write_page(assign_page(RunLayout(run), found), html)
    if out is None:
        shown = table.map(_visible_text) if sys.stdout.isatty() else table
        print(shown.to_csv(index=False, float_format="%.3f"), end="")
        return
    with atomic(out, lock=False) as temporary:
        table.to_csv(for_pandas(temporary), index=False, float_format="%.3f")
    known = int((table["cluster"] >= 0).sum())
    say(f"{known:,} of {many(len(table), 'image')} in known clusters: {out}")


def _visible_text(value: object) -> object:
    """Return a cell for a terminal: a file gets it as it is."""
    return visible(value) if isinstance(value, str) else value


def _require_times(manifest: Path | None, times: bool) -> None:
    if manifest is not None and not times:
        raise UserError("--manifest says when and where images were taken: add --times.")
