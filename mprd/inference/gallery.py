"""Galleries: images with their embeddings, made once and searched often."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mprd.artifacts import (
    CLUSTERS,
    FEATURES,
    GALLERY,
    INDEX,
    Artifact,
    read_artifact,
    write_artifact,
)
from mprd.config import load_config
from mprd.data.added import read_added
from mprd.data.image_paths import named_images
from mprd.data.images import indexed_images
from mprd.errors import UserError
from mprd.inference.embedder import Embedder
from mprd.pipeline.layout import FinalLayout, RunLayout


@dataclass(frozen=True)
class Gallery:
    """Images to search among.

    Attributes:
        features: float32 (n, D), unit rows.
        paths: of the images, absolute.
        names: paths in which patterns are looked for, see `named_images`.
    """

    features: np.ndarray
    paths: list[Path]
    names: list[Path]


def make_gallery(
    model: Embedder, images: Sequence[Path], *, skip_unreadable: bool = False
) -> Gallery:
    """Embed images, or all images of folders.

    Args:
        model: that embeds them.
        images: files or folders.
        skip_unreadable: leave out what cannot be decoded, with a note.

    Raises:
        UserError: an image or folder is missing or cannot be read.
    """
    return embedded_gallery(model, named_images(images, skip_unreadable=skip_unreadable))


def embedded_gallery(model: Embedder, named: Sequence[tuple[Path, Path]]) -> Gallery:
    """Embed images of `named_images`.

    Raises:
        UserError: an image cannot be read.
    """
    paths = [path.resolve() for path, _ in named]
    return Gallery(model.embed(paths), paths, [name for _, name in named])


def write_gallery(gallery: Gallery, model: Embedder, out: Path) -> None:
    """Write a gallery as `mprd.gallery`."""
    arrays = {
        "features": gallery.features,
        "path": np.array([str(path) for path in gallery.paths], dtype=object),
    }
    write_artifact(out, GALLERY, arrays, config={}, inputs={"model": model.digest}, lock=False)


def embedded_images(path: Path) -> tuple[Artifact, list[Path]]:
    """Read `final/embeddings.h5` of a run, and return it with the image files of its rows.

    Images that were added to the run are among them, the last rows.
    """
    artifact, run = read_artifact(path, FEATURES), RunLayout(path.resolve().parents[1])
    index = read_artifact(run.index, INDEX)
    if artifact.inputs.get("index") != index.digest:
        raise UserError(f"{path} was not made of the images of {run.index}. Run `mprd run` again.")
    config = load_config(run.config if run.config.is_file() else None)
    files = indexed_images(index, config)
    found = [files[row] for row in artifact["row"]]
    if not run.final.added.is_file():
        return artifact, found
    added = read_added(run, read_artifact(run.final.clusters, CLUSTERS))
    features = np.concatenate([artifact["features"], added["features"]])
    whole = replace(artifact, arrays={**artifact.arrays, "features": features})
    return whole, [*found, *added.files(index)]


def read_gallery(path: Path, model: Embedder) -> Gallery:
    """Read a gallery, or the embeddings of a run, made by a model.

    Args:
        path: what `mprd embed` wrote, or `final/embeddings.h5` of a run.
        model: that queries are embedded by.

    Raises:
        UserError: another file, or made by another model.
    """
    if path.name == FinalLayout.embeddings.name:
        artifact, paths = embedded_images(path)
    else:
        artifact = read_artifact(path, GALLERY)
        paths = [Path(str(name)) for name in artifact["path"]]
    if artifact.inputs.get("model") != model.digest:
        raise UserError(
            f"{path} was made by another model. Embed the images again with `mprd embed`."
        )
    return Gallery(artifact["features"], paths, paths)
