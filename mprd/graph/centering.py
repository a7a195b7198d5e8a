"""Take away what all images of a camera have in common."""

import numpy as np

_BLOCK_ELEMENTS = 2**20


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
    result = np.empty_like(features)
    step = max(1, _BLOCK_ELEMENTS // max(1, features.shape[1]))
    blocks = [slice(start, start + step) for start in range(0, len(features), step)]
    for rows in blocks:
        np.add.at(total, camera[rows], features[rows])
    mean = total / counts[:, None]
    for rows in blocks:  # in float64, which as a whole would take twice the embeddings
        centred = features[rows] - mean[camera[rows]]
        length = np.linalg.norm(centred, axis=1, keepdims=True)
        unit = centred / np.maximum(length, 1e-6)
        result[rows] = np.where(length > 1e-6, unit, features[rows])
    return result
