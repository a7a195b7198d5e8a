"""Search a gallery by features."""

import faiss
import numpy as np

from mprd.system.checks import check_features


def search(
    query: np.ndarray, gallery: np.ndarray, k: int = 10, *, among: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k gallery rows most similar to each query, exactly.

    Args:
        query: float32 (Q, D), unit rows.
        gallery: float32 (G, D), unit rows.
        k: matches per query; at most G are given.
        among: bool (G,), gallery rows to search among, such as those of a camera and a time
            (`mprd.sightings`); None: all.

    Returns:
        Similarity (cosine) float32 (Q, k) and gallery row int64 (Q, k), best first.

    Raises:
        ValueError: one is not a finite matrix, the two do not fit together, `among` is no mask of
            the gallery, or k is below 1.

    Example:
        >>> search(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), k=1)[1].tolist()
        [[0], [1]]
    """
    query, gallery = check_features(query, "query"), check_features(gallery, "gallery")
    if query.shape[1] != gallery.shape[1] or k < 1:
        raise ValueError(
            f"query {query.shape} and gallery {gallery.shape} must have rows of one length, and "
            f"k = {k} must be at least 1."
        )
    if among is not None:
        rows = np.flatnonzero(_mask(among, len(gallery)))
        similarity, index = search(query, gallery[rows], k)
        return similarity, rows[index]
    k = min(k, len(gallery))
    if not len(query) or not k:
        return np.empty((len(query), k), np.float32), np.empty((len(query), k), np.int64)
    return faiss.knn(query, gallery, k, metric=faiss.METRIC_INNER_PRODUCT)


def _mask(among: np.ndarray, count: int) -> np.ndarray:
    mask = np.asarray(among)
    if mask.dtype != bool or mask.shape != (count,):
        raise ValueError(f"among must be bool ({count},), not {mask.dtype} {mask.shape}.")
    return mask
