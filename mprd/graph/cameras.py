"""Take away what all images of a camera have in common: their mean, or mean and deviation."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from mprd.system.checks import check_features, check_integers

CameraMethod = Literal["none", "center", "standardize"]
_BLOCK_ELEMENTS = 2**20
_SMALLEST = 1e-6  # length below which a difference from the mean is rounding


@dataclass(frozen=True)
class CameraStatistics:
    """What the embeddings of each camera have in common.

    Attributes:
        cameras: int (C,), the cameras seen, ascending.
        mean: float64 (C, D).
        deviation: float64 (C, D) around the mean, or None: only the mean is taken away.
    """

    cameras: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray | None

    @classmethod
    def of_images(
        cls, features: np.ndarray, cameras: np.ndarray, *, standardize: bool = False
    ) -> "CameraStatistics":
        """Return the statistics of some images.

        Args:
            features: float32 (N, D).
            cameras: int (N,); unknown cameras (-1) count as one camera.
            standardize: take the deviation of each dimension too.
        """
        names, camera, counts = np.unique(cameras, return_inverse=True, return_counts=True)
        total = np.zeros((len(names), features.shape[1]))
        for rows in _blocks(features):
            np.add.at(total, camera[rows], features[rows])
        mean = total / counts[:, None]
        if not standardize:
            return cls(names, mean, None)
        total[:] = 0
        for rows in _blocks(features):
            np.add.at(total, camera[rows], (features[rows] - mean[camera[rows]]) ** 2)
        deviation = np.sqrt(total / counts[:, None])
        # A dimension that never changes in a camera must not be blown up by its rounding.
        floor = 0.01 * deviation.mean(axis=1, keepdims=True)
        return cls(names, mean, np.maximum(deviation, np.maximum(floor, _SMALLEST)))

    def align(self, features: np.ndarray, cameras: np.ndarray) -> np.ndarray:
        """Return features less the mean of their camera (over its deviation), L2-normalised.

        Args:
            features: float32 (m, D), unit rows, of the images themselves or others.
            cameras: int (m,), each among those of the statistics.

        Returns:
            float32 (m, D), unit rows; a row that equals its camera's mean (the only image of a
            camera) stays as it was.

        Raises:
            ValueError: a camera is not among those of the statistics.
        """
        camera = np.minimum(np.searchsorted(self.cameras, cameras), len(self.cameras) - 1)
        if (self.cameras[camera] != cameras).any():
            raise ValueError("a camera is not among those that the statistics were made from.")
        result = np.empty_like(features)
        for rows in _blocks(features):  # in float64, which as a whole would take twice the memory
            centred = features[rows] - self.mean[camera[rows]]
            length = np.linalg.norm(centred, axis=1, keepdims=True)
            if self.deviation is not None:
                centred /= self.deviation[camera[rows]]
            unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), _SMALLEST)
            result[rows] = np.where(length > _SMALLEST, unit, features[rows])
        return result


def align_cameras(features: np.ndarray, cameras: np.ndarray, method: CameraMethod) -> np.ndarray:
    """Return the features as `graph.cameras` compares them.

    Args:
        features: float32 (N, D), unit rows.
        cameras: int (N,); unknown cameras (-1) count as one camera.
        method: none: they stay as they are; center, standardize: as the functions below.

    Raises:
        ValueError: features are not a finite matrix, or cameras are not one whole number each.
    """
    if method == "none":
        return features
    features = check_features(features)
    cameras = check_integers(cameras, len(features), "cameras")
    standardize = method == "standardize"
    return CameraStatistics.of_images(features, cameras, standardize=standardize).align(
        features, cameras
    )


def center_cameras(features: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Return the features less the mean of their camera, L2-normalised.

    Embeddings of one camera lie together, whoever is shown; around the camera means, images of
    one identity are nearer across cameras.

    Args:
        features: float32 (N, D), unit rows.
        cameras: int (N,); unknown cameras (-1) count as one camera.

    Returns:
        float32 (N, D), unit rows; a row that equals its camera's mean (the only image of a
        camera) stays as it was.

    Raises:
        ValueError: features are not a finite matrix, or cameras are not one whole number each.
    """
    return align_cameras(features, cameras, "center")


def standardize_cameras(features: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Return the features with mean 0 and deviation 1 per camera and dimension, L2-normalised.

    Args:
        features: float32 (N, D), unit rows.
        cameras: int (N,); unknown cameras (-1) count as one camera.

    Returns:
        float32 (N, D), unit rows, as `center_cameras`.

    Raises:
        ValueError: as `center_cameras`.
    """
    return align_cameras(features, cameras, "standardize")


def _blocks(features: np.ndarray) -> list[slice]:
    step = max(1, _BLOCK_ELEMENTS // max(1, features.shape[1]))
    return [slice(start, start + step) for start in range(0, len(features), step)]
