"""Clusters of known images, as new images are compared with them."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mprd.graph.cameras import CameraStatistics
from mprd.inference.run_times import RunTimes
from mprd.inference.sightings import Sightings

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

    def assign(
        self,
        features: np.ndarray,
        correction: np.ndarray | None = None,
        apart: np.ndarray | None = None,
    ) -> Assignment:
        """Compare images with all clusters.

        Args:
            features: float32 (n, D), unit rows.
            correction: float (n, K), what to add to their similarities; None: nothing.
            apart: bool (n, K), clusters that an image cannot belong to; None: none.
        """
        similarity = features @ self.means.T
        if correction is not None:
            similarity += correction
        if apart is not None:
            similarity[apart] = -1
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


def other_side(new: Sightings, old: Sightings, labels: np.ndarray) -> np.ndarray:
    """Return which clusters show another side of an animal than an image, bool (n, K).

    A cluster that shows several, because a person joined it, may be that of any image.

    Args:
        new: n images.
        old: those of the clusters, N.
        labels: int (N,), 0..K-1, -1 outlier.
    """
    count = int(labels.max(initial=-1)) + 1
    shown: list[set[str]] = [set() for _ in range(count)]
    for label, side in zip(labels.tolist(), old.sides, strict=True):
        if label >= 0 and side:
            shown[label].add(side)
    only = np.array([next(iter(one)) if len(one) == 1 else "" for one in shown], object)
    own = np.array(new.sides, object)[:, None]
    return (own != "") & (only != "") & (own != only)


def mean_evidence(
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


def aligned(
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
