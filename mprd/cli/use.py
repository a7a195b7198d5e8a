"""Commands that use a model, or features of any network."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mprd.cli.app import PluginOption, ThreadsOption, app
from mprd.errors import UserError
from mprd.system.cpus import worker_count

if TYPE_CHECKING:
    import numpy as np

_BELIEVED = 0.8  # largest precision at which the relation GCN's promise held

ModelFile = Annotated[Path, typer.Option("--model", help="model.safetensors of a run.")]
Images = Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")]
SkipOption = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave out damaged images, with a note of each.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def embed(
    images: Images,
    model: ModelFile,
    out: Annotated[Path, typer.Option(help="HDF5 (with paths) or .npy (features alone) to write.")],
    skip_unreadable: SkipOption = False,
    plugin: PluginOption = None,
) -> None:
    """Embed images, for searching or other use.

    Example: mprd embed crops/ --model results/demo/final/model.safetensors --out crops.h5
    """
    from mprd.inference.embedder import load_model
    from mprd.inference.gallery import make_gallery, write_array, write_gallery

    if out.suffix not in (".h5", ".npy"):
        raise UserError(f"{out} must end in .h5 or .npy.")
    embedder = load_model(model)
    gallery = make_gallery(embedder, images, skip_unreadable=skip_unreadable)
    if out.suffix == ".h5":
        write_gallery(gallery, embedder, out)
    else:
        write_array(gallery.features, out)
    print(f"{len(gallery.paths):,} images, {embedder.dim} dimensions: {out}")


@app.command()
def onnx(
    model: Annotated[Path, typer.Argument(help="model.safetensors of a run.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    plugin: PluginOption = None,
) -> None:
    """Write a model as ONNX.

    In: `images`, uint8 (batch, H, W, 3), RGB, resized (bicubic) to the model's size, which the
    metadata `height` and `width` tell; normalisation is inside. Out: `embeddings`, unit rows.

    Example: mprd onnx results/demo/final/model.safetensors --out model.onnx
    """
    from mprd.inference.onnx import export_onnx

    height, width, dim = export_onnx(model, out)
    print(f"{out}: images uint8 (batch, {height}, {width}, 3) -> embeddings float32 (batch, {dim})")


@app.command()
def search(
    queries: Images,
    model: ModelFile,
    gallery: Annotated[
        Path,
        typer.Option(help="Folder of images, HDF5 of `mprd embed`, or a run's embeddings.h5."),
    ],
    k: Annotated[int, typer.Option("--top", "-k", min=1, help="Matches of each query.")] = 10,
    at_least: Annotated[
        float,
        typer.Option(min=-1, max=1, help="Least similarity of a match; see `mprd threshold`."),
    ] = -1.0,
    as_json: JsonOption = False,
    html: Annotated[Path | None, typer.Option(help="Page with pictures to write.")] = None,
    skip_unreadable: SkipOption = False,
    plugin: PluginOption = None,
) -> None:
    """Find the most similar gallery images of each query.

    It compares plain embeddings, as the evaluation does; `mprd assign` compares them as the run's
    clusters do, around what the images of a camera share.

    Example: mprd search q.jpg --model M.safetensors --gallery crops/ --html found.html
    """
    from mprd.artifacts import atomic
    from mprd.data.image_paths import image_paths, readable
    from mprd.inference.embedder import load_model
    from mprd.inference.gallery import make_gallery, read_gallery

    embedder = load_model(model)
    if gallery.suffix == ".h5":
        among = read_gallery(gallery, embedder)
    else:
        among = make_gallery(embedder, [gallery], skip_unreadable=skip_unreadable)
    files = image_paths(queries)
    files = readable(files) if skip_unreadable else files
    similarity, index = embedder.search(embedder.embed(files), among.features, k)
    if html is not None:
        from mprd.report.page.search_page import search_page

        page = search_page(files, among.paths, similarity, index, at_least)
        with atomic(html, lock=False) as temporary:
            temporary.write_text(page, encoding="utf-8")
    found = {
        str(query): [
            {"path": str(among.paths[row]), "similarity": round(float(near), 4)}
            for near, row in zip(similarity[n], index[n], strict=True)
            if near >= at_least
        ]
        for n, query in enumerate(files)
    }
    if as_json:
        print(json.dumps(found, indent=2))
        return
    for query, matches in found.items():
        print(query)
        if not matches:
            print(f"  no match of {at_least:g} or more")
        for match in matches:
            print(f"  {match['similarity']:.3f}  {match['path']}")


@app.command()
def threshold(
    run: Annotated[Path, typer.Option(help="Folder of a finished run.")],
    precision: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the pairs above it that must be right.")
    ] = 0.8,
    pairs: Annotated[
        Path | None, typer.Option(help="CSV of `mprd answer`; else the relation GCN judges.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Suggest from which similarity on two images are the same.

    Example: mprd threshold --run results/demo --precision 0.8
    """
    from dataclasses import asdict

    from mprd.inference.threshold import threshold_of_run

    found = threshold_of_run(run, precision, pairs)
    if math.isnan(found.similarity):
        raise UserError(
            f"No similarity promises {precision:.2f} by the answers of {found.judge} for "
            f"{found.pairs:,} pairs. Ask for a lower --precision, or judge more pairs with "
            "`mprd answer`."
        )
    if as_json:
        print(json.dumps(asdict(found), indent=2))
        return
    print(
        f"{found.similarity:.3f}: {found.promised:.2f} of the pairs above it are right; they are "
        f"{found.found:.2f} of those that {found.judge} calls right among {found.pairs:,} pairs of "
        "training images. Of new identities fewer are found."
    )
    if precision > _BELIEVED and pairs is None:
        print(f"Above {_BELIEVED} the promise has been too optimistic: see docs/report.md.")


@app.command()
def assign(
    images: Images,
    run: Annotated[Path, typer.Option(help="Folder of a finished run.")],
    out: Annotated[Path | None, typer.Option(help="CSV to write; else print it.")] = None,
    skip_unreadable: SkipOption = False,
) -> None:
    """Give new images the cluster numbers of a finished run.

    Example: mprd assign new/ --run results/own --out new.csv
    """
    from mprd.artifacts import atomic
    from mprd.inference.assign_run import assign_images

    table = assign_images(run, images, skip_unreadable=skip_unreadable)
    if out is None:
        print(table.to_csv(index=False, float_format="%.3f"), end="")
        return
    with atomic(out, lock=False) as temporary:
        table.to_csv(temporary, index=False, float_format="%.3f")
    known = int((table["cluster"] >= 0).sum())
    print(f"{known} of {len(table)} images belong to a known cluster: {out}")


@app.command()
def cluster_features(
    features: Annotated[Path, typer.Argument(help=".npy, or HDF5 with a data set `features`.")],
    out: Annotated[Path, typer.Option(help="CSV to write: row, cluster, confidence.")],
    config: Annotated[
        Path | None,
        typer.Option(help="YAML with sections graph, cluster. Default: communities, gamma auto."),
    ] = None,
    cameras: Annotated[
        Path | None, typer.Option(help=".npy of integers, the camera of each row, -1 unknown.")
    ] = None,
    threads: ThreadsOption = None,
) -> None:
    """Cluster the features of any network.

    Example: mprd cluster-features features.npy --out clusters.csv
    """
    from mprd.artifacts import atomic
    from mprd.clustering.from_features import cluster_features
    from mprd.config import load_config, validate
    from mprd.inference.gallery import read_array

    plain = {"method": "community", "gamma": "auto", "eps": 0.7, "min_size": 2}
    settings = validate({"cluster": plain}, "default") if config is None else load_config(config)
    where = None if cameras is None else _integers(cameras)
    found = cluster_features(read_array(features), settings, where, worker_count(threads))
    with atomic(out, lock=False) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("row,cluster,confidence\n")
        for row, (label, trust) in enumerate(zip(found.labels, found.membership, strict=True)):
            file.write(f"{row},{label},{trust:.3f}\n")
    health = found.health
    print(
        f"{found.labels.max() + 1} clusters, {(found.labels < 0).sum()} outliers of "
        f"{len(found.labels)}; health {health.score:.2f}: {out}"
    )


def _integers(path: Path) -> "np.ndarray":
    import numpy as np

    from mprd.inference.gallery import read_array

    values = read_array(path)
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise UserError(f"{path} must hold whole numbers (N,), not {values.dtype} {values.shape}.")
    return values
