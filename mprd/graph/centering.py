"""Take away what all images of a camera have in common."""

import numpy as np


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
    """
    _, camera, counts = np.unique(cameras, return_inverse=True, return_counts=True)
    total = np.zeros((len(counts), features.shape[1]))
    np.add.at(total, camera, features)
    centred = features - (total / counts[:, None])[camera]
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(length > 1e-6, centred / np.maximum(length, 1e-6), features).astype(np.float32)
