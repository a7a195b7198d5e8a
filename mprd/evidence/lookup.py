"""What learnt transitions say of any two images, such as a query and an image of a gallery."""

import numpy as np

from mprd.evidence.time_bins import time_difference
from mprd.evidence.transitions import Transitions
from mprd.evidence.travel import outer_edges


def time_evidence(
    transitions: Transitions,
    times: np.ndarray,
    cameras: np.ndarray,
    other_times: np.ndarray,
    other_cameras: np.ndarray,
) -> np.ndarray:
    """Return the log ratio of each pair: above 0 its times speak for "the same".

    It does not matter which image of a pair comes first. The evidence is 0 where a time or a camera
    is unknown, where the two times are further apart than any in the training, for cameras that no
    probable pair was found of, and everywhere if times carry nothing.

    Args:
        transitions: as learnt.
        times: float64, of one image of each pair, in the unit of the training; NaN unknown.
        cameras: int, numbered as in the training, others unknown.
        other_times: float64, of the other images; shapes broadcast.
        other_cameras: int, of the same.

    Returns:
        float32, of the shape that the four have together.

    Example:
        >>> time_evidence(found, query_times[:, None], query_cameras[:, None],
        ...               gallery_times, gallery_cameras).shape  # doctest: +SKIP
        (queries, gallery)
    """
    known = len(transitions.log_ratio)
    difference = time_difference(times, cameras, other_times, other_cameras)
    low, high = np.minimum(cameras, other_cameras), np.maximum(cameras, other_cameras)
    first, last = outer_edges(transitions.edges)
    usable = (low >= 0) & (high < known) & (difference >= first) & (difference <= last)
    if not transitions.informative or not usable.any():
        return np.zeros(usable.shape, np.float32)
    place = np.searchsorted(transitions.edges, np.where(usable, difference, 0), side="right")
    low, high = np.where(usable, low, 0), np.where(usable, high, 0)
    return np.where(usable, transitions.log_ratio[low, high, place], 0).astype(np.float32)
