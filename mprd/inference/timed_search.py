"""Search a gallery by features and by what times say."""

import numpy as np

from mprd.inference.run_times import RunTimes
from mprd.inference.sightings import Sightings

_PAIRS = 2**21  # compared at once


def search_with_times(
    query: np.ndarray,
    gallery: np.ndarray,
    times: RunTimes,
    seen: Sightings,
    gallery_seen: Sightings,
    k: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the k gallery images to which each query has the largest corrected similarity.

    That of two known sides of an animal is -inf.

    Args:
        query: float32 (Q, D), unit rows.
        gallery: float32 (G, D), unit rows.
        times: of the run.
        seen: of the queries.
        gallery_seen: of the gallery.
        k: matches per query; at most G are given.

    Returns:
        Corrected similarity float32 (Q, k), gallery row int64 (Q, k), and evidence float32 (Q, k),
        best first; of equals the smaller row first.
    """
    k = min(k, len(gallery))
    step = max(1, _PAIRS // max(len(gallery), 1))
    similarity, evidence = np.empty((2, len(query), k), np.float32)
    index = np.empty((len(query), k), np.int64)
    for start in range(0, len(query), step):
        block = slice(start, start + step)
        said = times.evidence(seen, gallery_seen, block)
        near = query[block] @ gallery.T + times.correction(said)
        near[seen.of(np.arange(len(query))[block]).apart(gallery_seen)] = -np.inf
        index[block] = np.argsort(-near, axis=1, kind="stable")[:, :k]
        similarity[block] = np.take_along_axis(near, index[block], axis=1)
        evidence[block] = np.take_along_axis(said, index[block], axis=1)
    return similarity, index, evidence
