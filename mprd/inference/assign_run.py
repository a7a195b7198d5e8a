"""Assign new images to the clusters of a finished run."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.config import load_config
from mprd.data.image_paths import image_paths, readable
from mprd.data.index import camera_names, split_rows
from mprd.errors import UserError
from mprd.graph.cameras import CameraStatistics
from mprd.inference.assign import Clusters
from mprd.inference.embedder import load_model
from mprd.pipeline.layout import run_of
from mprd.pipeline.registry import load_plugins


def assign_images(
    run: Path, images: Sequence[Path], *, skip_unreadable: bool = False
) -> pd.DataFrame:
    """Assign new images to the clusters of a run. The clusters keep their numbers.

    Embeddings are compared as the run compares them: without what the images of a camera share, if
    the run knows cameras. The run's `data.camera` finds the camera of a new image. If the run does
    not know that camera, the image is compared without what all images share.

    Args:
        run: folder of a finished run.
        images: files or folders.
        skip_unreadable: leave out what cannot be decoded, with a note.

    Returns:
        Columns path, cluster (-1: perhaps someone new), similarity (cosine to the cluster's mean),
        margin (to the next cluster) and camera.

    Raises:
        UserError: the run is not finished, or an image cannot be read.
    """
    layout = run_of(run)
    config = load_config(layout.config)
    load_plugins(config)
    index = read_artifact(layout.index, INDEX)
    known = index["camera"][split_rows(index, "train")]
    features = read_artifact(layout.final.features, FEATURES)["features"]
    clusters = read_artifact(layout.final.clusters, CLUSTERS)
    paths, found = _with_cameras(images, config.data.camera)
    if skip_unreadable:
        whole = set(readable(paths))
        found = [name for path, name in zip(paths, found, strict=True) if path in whole]
        paths = [path for path in paths if path in whole]
    names = camera_names(index)
    camera = np.array([names.index(name) if name in names else -1 for name in found], np.int64)
    embedded = load_model(layout.final.model, config.device, config.precision).embed(paths)
    if config.graph.cameras != "none":
        standardize = config.graph.cameras == "standardize"
        features, embedded = _aligned(features, known, embedded, camera, standardize=standardize)
    try:
        result = Clusters(features, clusters["labels"]).assign(embedded)
    except ValueError as error:
        raise UserError(f"{layout.final.clusters}: {error}, so nothing can be assigned.") from None
    return pd.DataFrame(
        {
            "path": [str(path) for path in paths],
            "cluster": numbers_of(result.cluster, clusters["number"]),
            "similarity": result.similarity,
            "margin": result.margin,
            "camera": [names[number] if number >= 0 else "" for number in camera],
        }
    )


def _with_cameras(images: Sequence[Path], pattern: str | None) -> tuple[list[Path], list[str]]:
    """Return image files, and the name of the camera of each, "" unknown."""
    paths: list[Path] = []
    cameras: list[str] = []
    for source in images:
        files = image_paths(source)
        paths += files
        # As in the run, the pattern is looked for below the folder that was named.
        inside = (path.relative_to(source) if source.is_dir() else path for path in files)
        cameras += [_camera(pattern, path) for path in inside]
    return paths, cameras


def _camera(pattern: str | None, path: Path) -> str:
    match = None if pattern is None else re.search(pattern, path.as_posix())
    return "" if match is None else match[1]


def _aligned(
    features: np.ndarray,
    known: np.ndarray,
    new: np.ndarray,
    camera: np.ndarray,
    *,
    standardize: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return features of the run and of new images without what cameras share."""
    by_camera = CameraStatistics.of_images(features, known, standardize=standardize)
    together = CameraStatistics.of_images(features, np.zeros_like(known), standardize=standardize)
    result = together.align(new, np.zeros_like(camera))
    seen = np.isin(camera, by_camera.cameras) & (camera >= 0)
    if seen.any():
        result[seen] = by_camera.align(new[seen], camera[seen])
    return by_camera.align(features, known), result
