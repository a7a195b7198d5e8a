"""Give new images to the clusters of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.config import load_config
from mprd.data.added import read_added
from mprd.data.image_paths import named_images
from mprd.data.index import camera_names, split_rows
from mprd.errors import UserError
from mprd.inference.embedder import load_model
from mprd.inference.given_features import given_images, require_length
from mprd.inference.known_clusters import Assignment, Clusters, aligned, mean_evidence, other_side
from mprd.inference.no_model import no_model
from mprd.inference.run_times import RunTimes
from mprd.inference.sightings import RunSightings, camera_in_path, index_sightings
from mprd.pipeline.finished import finished_run
from mprd.pipeline.registry import load_plugins


@dataclass(frozen=True)
class Assigned:
    """New images with the clusters that they are assigned to.

    Attributes:
        table: see `assign_images`.
        files: of the images.
        result: the clusters, by label.
        numbers: int (K,), of the cluster of each label.
    """

    table: pd.DataFrame
    files: list[Path]
    result: Assignment
    numbers: np.ndarray


def assign_images(
    run: Path,
    images: Sequence[Path],
    *,
    skip_unreadable: bool = False,
    times: bool = False,
    manifest: Path | None = None,
    features: Path | None = None,
    device: str | None = None,
) -> Assigned:
    """Assign new images to the clusters of a run. The clusters keep their numbers.

    Images that were added to the run (`mprd add`) are members of its clusters.

    Embeddings are compared as the run compares them: without what the images of a camera share, if
    the run knows cameras. The run's `data.camera` finds the camera of a new image. If the run does
    not know that camera, the image is compared without what all images share.

    A cluster of left flanks takes no image of a right one, where the run knows sides.

    With times, the similarity to a cluster is corrected by the mean evidence of the image's time
    and camera with those of the cluster's images; the similarity that it must reach stays.

    Args:
        run: folder of a finished run.
        images: files or folders; with features there may be none.
        skip_unreadable: leave out what cannot be decoded, with a note.
        times: let times speak, too; how many images have one is told on standard error.
        manifest: with times: see `RunSightings`.
        features: file with features of the new images, for a run with `data.features`; without
            images its paths name them.
        device: where images are embedded: auto, cpu, cuda or cuda:N; None: as the run says.

    Returns:
        The columns of the table: path, cluster (-1: perhaps someone new), similarity (cosine to
        the cluster's mean), margin (to the next cluster) and camera; with times also evidence (mean
        log ratio with the cluster's images; 0: none).

    Raises:
        UserError: the run is not finished, or an image cannot be read; with times, as `RunTimes`
            and `RunSightings`.
    """
    layout = finished_run(run)
    config = load_config(layout.config)
    load_plugins(config)
    learnt = RunTimes(layout) if times else None
    index = read_artifact(layout.index, INDEX)
    rows = split_rows(index, "train")
    clusters = read_artifact(layout.final.clusters, CLUSTERS)
    later, names = read_added(layout, clusters), camera_names(index)
    known = np.concatenate([index["camera"][rows], later.cameras(names)])
    own = read_artifact(layout.final.features, FEATURES)["features"]
    own = np.concatenate([own, later["features"]]) if len(later) else own
    number = np.concatenate([numbers_of(clusters["labels"], clusters["number"]), later["number"]])
    numbers, labels = np.unique(np.append(number, -1), return_inverse=True)
    numbers, labels = numbers[1:], labels[:-1] - 1
    if config.data.features is not None:
        if features is None:
            raise no_model(run)
        named, embedded = given_images(features, images)
        require_length(embedded, features, own, layout.final.features)
    elif features is not None:
        raise UserError(f"{run} has a network of its own: leave --features out.")
    elif not images:
        raise UserError("Name the images to assign.")
    else:
        named = named_images(images, skip_unreadable=skip_unreadable)
    paths = [path for path, _ in named]
    evidence = apart = None
    if learnt is not None or "side" in index.arrays:
        new = RunSightings(layout, manifest).of(named)
        old = index_sightings(index, rows, later)
        apart = other_side(new, old, labels)
    if learnt is None:
        found = [camera_in_path(name, config.data.camera) for _, name in named]
        camera = np.array([names.index(name) if name in names else -1 for name in found], np.int64)
    else:
        camera = new.cameras
        learnt.say(new, old, "images", "images of the run")
        evidence = mean_evidence(learnt, new, old, labels)
    if config.data.features is None:
        embedded = load_model(layout.final.model, device or config.device, config.precision).embed(
            paths
        )
    if config.graph.cameras != "none":
        standardize = config.graph.cameras == "standardize"
        own, embedded = aligned(own, known, embedded, camera, standardize=standardize)
    try:
        among = Clusters(own, labels)
    except ValueError as error:
        raise UserError(f"{layout.final.clusters}: {error}, so nothing can be assigned.") from None
    correction = None if learnt is None or evidence is None else learnt.correction(evidence)
    result = among.assign(embedded, correction, apart)
    columns = {
        "path": [str(path) for path in paths],
        "cluster": numbers_of(result.cluster, numbers.astype(np.int32)),
        "similarity": result.similarity,
        "margin": result.margin,
        "camera": [names[number] if number >= 0 else "" for number in camera],
    }
    if evidence is not None:
        columns["evidence"] = evidence[np.arange(len(paths)), result.nearest]
    return Assigned(pd.DataFrame(columns), paths, result, numbers)
