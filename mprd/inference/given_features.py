"""Images whose features another network made: to search with, among, or to assign."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mprd.data.image_paths import named_images
from mprd.errors import UserError
from mprd.inference.feature_files import image_names, matched_features, read_array
from mprd.inference.gallery import Gallery, embedded_images
from mprd.pipeline.layout import FinalLayout
from mprd.system.checks import unit_rows


def given_images(
    file: Path, images: Sequence[Path] = ()
) -> tuple[list[tuple[Path, Path]], np.ndarray]:
    """Return images and their features, from a file of features.

    Args:
        file: `.npy`, `.safetensors` or HDF5.
        images: files or folders that its rows belong to; none: its paths name them, or the numbers
            of its rows.

    Returns:
        Image files, each with the path in which patterns are looked for, and their features,
        float32 (n, D), unit rows.

    Raises:
        UserError: as `matched_features`.
    """
    if images:
        named = named_images(images)
        names = [name.as_posix() for _, name in named]
        return named, matched_features(file, names, [path.resolve() for path, _ in named])
    features = unit_rows(read_array(file), str(file))
    known = image_names(file, len(features))
    paths = [Path(name) for name in known or (f"row {row}" for row in range(len(features)))]
    return list(zip(paths, paths, strict=True)), features


def given_gallery(path: Path) -> Gallery:
    """Return images to search among, by their features.

    Args:
        path: `final/embeddings.h5` of a run, or a file as for `given_images`.

    Raises:
        UserError: a folder, or no features.
    """
    if path.is_dir():
        raise UserError(
            f"{path} is a folder of images, and --features means that no model embeds them. Name a "
            "file of features, or the final/embeddings.h5 of a run."
        )
    if path.name == FinalLayout.embeddings.name:
        artifact, paths = embedded_images(path)
        return Gallery(artifact["features"], paths, paths)
    named, features = given_images(path)
    paths = [file for file, _ in named]
    return Gallery(features, paths, paths)


def require_length(features: np.ndarray, file: Path, others: np.ndarray, of: Path) -> None:
    """Check that features of two files have as many dimensions.

    Raises:
        UserError: they have not, so two networks made them.
    """
    if features.shape[1] != others.shape[1]:
        raise UserError(
            f"{file} has features of {features.shape[1]:,} dimensions, {of} of "
            f"{others.shape[1]:,}: two networks made them."
        )
