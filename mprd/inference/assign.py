"""Give new images to the clusters of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.config import load_config
from mprd.data.image_paths import named_images
from mprd.data.index import camera_names, split_rows, trained_cameras
from mprd.errors import UserError
from mprd.graph.cameras import CameraStatistics
from mprd.inference.embedder import load_model
from mprd.inference.given_features import given_images, require_length
from mprd.inference.no_model import no_model
from mprd.inference.run_times import RunTimes, Sightings, camera_in_path
from mprd.pipeline.finished import finished_run
from mprd.pipeline.registry import load_plugins

_PAIRS = 2**21  # compared by time at once
_BELOW = 1.2  # standard deviations below its mean member that a cluster takes an image
_NEAR = 3  # clusters that are shown beside an image
_PRIOR = 6  # members that all clusters together count in the mean of one


@dataclass(frozen=True)
class Assignment:
    """The clusters of some images.

    Attributes:
        cluster: int32 (n,), -1: similar enough to no cluster, perhaps someone new.
        similarity: float32 (n,), cosine to the mean of the nearest cluster, corrected or not.
        margin: float32 (n,), how much less similar the second nearest cluster is.
        nearest: int64 (n,), the nearest cluster.
        near: int64 (n, c), the nearest clusters, best first, at most three.
        near_similarity: float32 (n, c), to these.
    """

    cluster: np.ndarray
    similarity: np.ndarray
    margin: np.ndarray
    nearest: np.ndarray
    near: np.ndarray
    near_similarity: np.ndarray


@dataclass(frozen=True)
class Assigned:
    """New images with the clusters that they are assigned to.

    Attributes:
        table: see `assign_images`.
        files: of the images.
        result: the clusters, by label.
    """

    table: pd.DataFrame
    files: list[Path]
    result: Assignment


class Clusters:
    """Clusters of known features, as new images are compared with them.

    Attributes:
        means: float32 (K, D), unit rows.
        least: float32 (K,), cosine that an image must reach to belong.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray) -> None:
        """Take the mean of each cluster, and how similar its members are to it.

        A member is compared with the mean of the others, as a new image will be. An image must be
        as similar as the members are on average, less 1.2 standard deviations. A cluster has too
        few members for a limit of its own, so the deviation is that of all clusters, and the mean
        of a cluster is drawn towards the mean of all, as if it had six more members like that.

        Args:
            features: float32 (N, D), unit rows.
            labels: int (N,), -1 outlier; at least one cluster of two.

        Raises:
            ValueError: no cluster has two images.
        """
        inside = np.flatnonzero(labels >= 0)
        if not len(inside) or np.bincount(labels[inside]).max() < 2:
            raise ValueError("there is no cluster of two images or more")
        count = int(labels.max()) + 1
        total = np.zeros((count, features.shape[1]))
        np.add.at(total, labels[inside], features[inside])
        self.means = _unit(total)
        own = labels[inside]
        sizes = np.bincount(own, minlength=count)
        others = _unit(total[own] - features[inside])
        near = (others * features[inside]).sum(axis=1)
        near, own = near[sizes[own] > 1], own[sizes[own] > 1]
        sizes, summed = np.bincount(own, minlength=count), np.bincount(own, near, count)
        typical = (summed + _PRIOR * near.mean()) / (sizes + _PRIOR)
        spread = near - (summed / np.maximum(sizes, 1))[own]
        freedom = max(len(near) - int((sizes > 0).sum()), 1)
        self.least = (typical - _BELOW * np.sqrt((spread**2).sum() / freedom)).astype(np.float32)

    def assign(self, features: np.ndarray, correction: np.ndarray | None = None) -> Assignment:
        """Compare images with all clusters.

        Args:
            features: float32 (n, D), unit rows.
            correction: float (n, K), what to add to their similarities; None: nothing.
        """
        similarity = features @ self.means.T
        if correction is not None:
            similarity += correction
        near = np.argsort(-similarity, axis=1, kind="stable")[:, :_NEAR]
        near_similarity = np.take_along_axis(similarity, near, axis=1).astype(np.float32)
        nearest = similarity.argmax(axis=1)
        rows = np.arange(len(features))
        best = similarity[rows, nearest]
        similarity[rows, nearest] = -1
        return Assignment(
            cluster=np.where(best >= self.least[nearest], nearest, -1).astype(np.int32),
            similarity=best.astype(np.float32),
            margin=(best - similarity.max(axis=1)).astype(np.float32),
            nearest=nearest,
            near=near,
            near_similarity=near_similarity,
        )


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)


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

    Embeddings are compared as the run compares them: without what the images of a camera share, if
    the run knows cameras. The run's `data.camera` finds the camera of a new image. If the run does
    not know that camera, the image is compared without what all images share.

    With times, the similarity to a cluster is corrected by the mean evidence of the image's time
    and camera with those of the cluster's images; the similarity that it must reach stays.

    Args:
        run: folder of a finished run.
        images: files or folders; with features there may be none.
        skip_unreadable: leave out what cannot be decoded, with a note.
        times: let times speak, too; how many images have one is told on standard error.
        manifest: with times: see `RunTimes`.
        features: file with features of the new images, for a run with `data.features`; without
            images its paths name them.
        device: where images are embedded: auto, cpu, cuda or cuda:N; None: as the run says.

    Returns:
        The columns of the table: path, cluster (-1: perhaps someone new), similarity (cosine to
        the cluster's mean), margin (to the next cluster) and camera; with times also evidence (mean
        log ratio with the cluster's images; 0: none).

    Raises:
        UserError: the run is not finished, or an image cannot be read; with times, as `RunTimes`.
    """
    layout = finished_run(run)
    config = load_config(layout.config)
    load_plugins(config)
    learnt = RunTimes(layout, manifest) if times else None
    index = read_artifact(layout.index, INDEX)
    rows = split_rows(index, "train")
    known = index["camera"][rows]
    own = read_artifact(layout.final.features, FEATURES)["features"]
    clusters = read_artifact(layout.final.clusters, CLUSTERS)
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
    names = camera_names(index)
    evidence = None
    if learnt is None:
        found = [camera_in_path(name, config.data.camera) for _, name in named]
        camera = np.array([names.index(name) if name in names else -1 for name in found], np.int64)
    else:
        new = learnt.sightings(named)
        camera = new.cameras
        members = known.astype(np.int64)
        old = Sightings(index["time"][rows], members, trained_cameras(index, members))
        learnt.say(new, old, "images", "images of the run")
        evidence = _mean_evidence(learnt, new, old, clusters["labels"])
    if config.data.features is None:
        embedded = load_model(layout.final.model, device or config.device, config.precision).embed(
            paths
        )
    if config.graph.cameras != "none":
        standardize = config.graph.cameras == "standardize"
        own, embedded = _aligned(own, known, embedded, camera, standardize=standardize)
    try:
        among = Clusters(own, clusters["labels"])
    except ValueError as error:
        raise UserError(f"{layout.final.clusters}: {error}, so nothing can be assigned.") from None
    correction = None if learnt is None or evidence is None else learnt.correction(evidence)
    result = among.assign(embedded, correction)
    columns = {
        "path": [str(path) for path in paths],
        "cluster": numbers_of(result.cluster, clusters["number"]),
        "similarity": result.similarity,
        "margin": result.margin,
        "camera": [names[number] if number >= 0 else "" for number in camera],
    }
    if evidence is not None:
        columns["evidence"] = evidence[np.arange(len(paths)), result.nearest]
    return Assigned(pd.DataFrame(columns), paths, result)


def _mean_evidence(
    times: RunTimes, new: Sightings, old: Sightings, labels: np.ndarray
) -> np.ndarray:
    """Return the mean evidence of images with those of each cluster, float32 (n, K).

    Args:
        times: of the run.
        new: n images.
        old: of the run's N training images.
        labels: int (N,), -1 outlier.
    """
    inside = np.flatnonzero(labels >= 0)
    sizes = np.bincount(labels[inside], minlength=1)
    shape = len(labels), len(sizes)
    share = csr_array((1 / sizes[labels[inside]], (inside, labels[inside])), shape=shape)
    step = max(1, _PAIRS // max(len(labels), 1))
    blocks = [slice(start, start + step) for start in range(0, len(new.times), step)]
    means = [times.evidence(new, old, block) @ share for block in blocks]
    return np.concatenate([np.empty((0, len(sizes))), *means]).astype(np.float32)


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
