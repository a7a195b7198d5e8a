"""Histograms of the time between two images, for each pair of cameras."""

import numpy as np

_GROWTH = 1.5  # width of a bin relative to the one before
_MOST_BINS = 64
_SAMPLE = 20_000  # images for the histogram of all pairs


def time_edges(times: np.ndarray, differences: np.ndarray) -> np.ndarray:
    """Return the edges between bins: 0, and growing steps to both sides.

    The smallest step is one that a tenth of the given pairs stay below, the largest spans all.

    Args:
        times: float64 (N,), NaN unknown.
        differences: float64 (P,), of pairs that are probably one person.

    Returns:
        float64 (B - 1,), ascending and symmetric about 0; no pairs or one time: just 0.
    """
    known = times[np.isfinite(times)]
    span = float(np.ptp(known)) if len(known) else 0.0
    apart = np.abs(differences[differences != 0])
    if not len(apart) or span == 0:
        return np.zeros(1)
    smallest = min(float(np.quantile(apart, 0.1)), span)
    steps = int(np.ceil(np.log(span / smallest) / np.log(_GROWTH)))
    steps = min(max(steps, 1), _MOST_BINS // 2 - 1)
    above = np.geomspace(smallest, span, steps + 1)[:-1]
    return np.concatenate([-above[::-1], [0.0], above])


def pair_differences(
    times: np.ndarray, cameras: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Return the time in the camera with the larger number minus that in the other.

    Args:
        times: float64 (N,).
        cameras: int64 (N,).
        rows: int (P,), one image of each pair.
        columns: int (P,), the other; the order of the two does not matter.

    Returns:
        float64 (P,); within one camera absolute.
    """
    return time_difference(times[rows], cameras[rows], times[columns], cameras[columns])


def time_difference(
    times: np.ndarray, cameras: np.ndarray, other_times: np.ndarray, other_cameras: np.ndarray
) -> np.ndarray:
    """Return the time in the camera with the larger number minus that in the other.

    Args:
        times: float64, of one image of each pair.
        cameras: int, of the same.
        other_times: float64, of the other image; the order of the two does not matter.
        other_cameras: int, of the same.

    Returns:
        float64, of the shape that the four have together; within one camera absolute.
    """
    difference = other_times - times
    difference = np.where(cameras > other_cameras, -difference, difference)
    return np.where(cameras == other_cameras, np.abs(difference), difference)


def pair_cells(
    times: np.ndarray,
    cameras: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    edges: np.ndarray,
) -> np.ndarray:
    """Return the place of each pair in a flat (C, C, B) histogram; arguments as above.

    Returns:
        int64 (P,).
    """
    span, bins = int(cameras.max(initial=0)) + 1, len(edges) + 1
    low = np.minimum(cameras[rows], cameras[columns])
    high = np.maximum(cameras[rows], cameras[columns])
    place = np.searchsorted(edges, pair_differences(times, cameras, rows, columns), side="right")
    return (low * span + high) * bins + place


def background(times: np.ndarray, cameras: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return how the time differences of all pairs of two cameras are spread.

    Above 20,000 images with a time, evenly spread ones stand for all.

    Args:
        times: float64 (N,), NaN unknown: left out.
        cameras: int64 (N,), at least 0.
        edges: float64 (B - 1,).

    Returns:
        float64 (C, C, B), summing to 1 for each pair a <= b that has pairs, else 0.
    """
    span, bins = int(cameras.max(initial=0)) + 1, len(edges) + 1
    known = np.flatnonzero(np.isfinite(times))
    known = known[np.argsort(times[known], kind="stable")]
    sample = known[:: max(1, -(-len(known) // _SAMPLE))]
    of_camera = [times[known[cameras[known] == camera]] for camera in range(span)]
    counts = np.zeros((span, span, bins))
    for a in range(span):
        first = times[sample[cameras[sample] == a]]
        for b in range(a, span):
            # The pairs at most an edge apart; of one camera those to both sides.
            limits = first[:, None] + edges
            below = np.searchsorted(of_camera[b], limits, side="left").sum(axis=0)
            ends = np.concatenate([[0], below, [len(first) * len(of_camera[b])]])
            counts[a, b] = np.diff(ends)
            if a == b:
                counts[a, a] = _absolute(counts[a, a], len(first))
    totals = counts.sum(axis=2, keepdims=True)
    return counts / np.maximum(totals, 1)


def _absolute(counts: np.ndarray, itself: int) -> np.ndarray:
    """Fold a histogram that is symmetric about 0 onto its upper half, images themselves left out.

    Args:
        counts: float64 (B,); an even number of bins, `itself` images at difference 0.
        itself: images of the camera that were counted.
    """
    half = len(counts) // 2
    folded = np.zeros_like(counts)
    folded[half:] = counts[half:] + counts[:half][::-1]
    folded[half] -= itself
    return np.maximum(folded, 0)
