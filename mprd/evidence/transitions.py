"""When people pass from camera to camera, learnt without a label, and what that says of a pair.

For each pair of cameras: the ratio of two histograms of the time between images, of pairs that are
probably one person and of all pairs. Its logarithm is evidence for or against "the same", and
independent of what the images look like (Wang et al., Spatial-Temporal Person Re-identification,
AAAI 2019, learn such histograms from labels).

Three things keep it from believing itself. The pairs that are probably one person are the most
similar ones; many are wrong, which flattens the ratio. The evidence of a pair comes from other
stretches of time than its own, so that two tracks which look alike do not vouch for themselves. And
the ratio of a pair of cameras is shrunk towards that of all pairs, which is shrunk towards 1.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mprd.evidence.time_bins import background, pair_cells, pair_differences, time_edges
from mprd.system.checks import check_distances, check_integers

FOLDS = 10
_STRETCHES = 3  # of time, for each fold: longer than tracks
_SEEDS = 2  # most similar pairs of two cameras, and of one, for each image
_PRIOR = 10  # pairs found in a bin that the ratio of all pairs of cameras counts
_COMMON_PRIOR = 5  # pairs a bin that "no evidence" counts
_SMOOTH = np.array([0.25, 0.5, 0.25])
_LEAST = 1e-3  # ratio below which a bin counts as impossible
_CHUNK = 2**22  # stored pairs at a time


@dataclass(frozen=True)
class Transitions:
    """How long the way between two cameras takes, and what the times of a pair say.

    Attributes:
        edges: float64 (B - 1,), between the bins of the time difference, ascending. A difference is
            the time in the camera with the larger number minus that in the other; within one
            camera it is absolute.
        log_ratio: float32 (C, C, B), for cameras a <= b, 0 elsewhere.
        seeds: int64 (C, C, B), pairs that are probably one person.
        background: float64 (C, C, B), how all pairs of two cameras are spread; sums to 1.
        evidence: float32 (nnz,), log ratio of each stored pair, by the folds that it is not in; 0
            where a time is unknown, and everywhere if times carry nothing.
        gain: mean evidence of the seeds.
        error: standard error of the gain, over folds.
    """

    edges: np.ndarray
    log_ratio: np.ndarray
    seeds: np.ndarray
    background: np.ndarray
    evidence: np.ndarray
    gain: float
    error: float

    @property
    def informative(self) -> bool:
        """Whether times carry anything: the gain is more than twice its error above 0."""
        return self.gain > 2 * self.error


def learn_transitions(times: np.ndarray, cameras: np.ndarray, distance: csr_array) -> Transitions:
    """Learn how long people take between cameras, from the most similar pairs.

    Args:
        times: float64 (N,), any unit, NaN unknown.
        cameras: int (N,), -1 unknown (together one more camera).
        distance: (N, N), symmetric, of the stored pairs.

    Returns:
        The transitions, with the evidence for each stored pair.

    Raises:
        ValueError: the arrays do not fit each other.
    """
    count = check_distances(distance).shape[0]
    cameras = check_integers(cameras, count, "cameras")
    cameras = np.where(cameras < 0, cameras.max(initial=-1) + 1, cameras)
    times = np.asarray(times, np.float64)
    if times.shape != (count,):
        raise ValueError(f"times must be ({count},), not {times.shape}.")
    rows, columns = _seeds(distance, times, cameras)
    edges = time_edges(times, pair_differences(times, cameras, rows, columns))
    fold = _folds(times)
    expected = background(times, cameras, edges)
    cells = pair_cells(times, cameras, rows, columns, edges)
    found = np.zeros((FOLDS, expected.size))
    own = fold[_earlier(times, rows, columns)]
    np.add.at(found, (own, cells), 1)
    total = found.sum(axis=0)
    held_out = np.stack([_log_ratio(total - one, expected).ravel() for one in found])
    gain, error = _mean_by_fold(held_out[own, cells], own)
    result = Transitions(
        edges=edges,
        log_ratio=_log_ratio(total, expected).astype(np.float32),
        seeds=total.reshape(expected.shape).astype(np.int64),
        background=expected,
        evidence=np.zeros(distance.nnz, np.float32),
        gain=gain,
        error=error,
    )
    if result.informative:
        for start in range(0, distance.nnz, _CHUNK):
            stop = min(start + _CHUNK, distance.nnz)
            rows, columns = _entries(distance, start, stop)
            known = np.isfinite(times[rows] + times[columns]) & (rows != columns)
            rows, columns = rows[known], columns[known]
            own = fold[_earlier(times, rows, columns)]
            cells = pair_cells(times, cameras, rows, columns, edges)
            result.evidence[start:stop][known] = held_out[own, cells]
    return result


def _entries(distance: csr_array, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of the stored entries `start` to `stop`."""
    rows = np.searchsorted(distance.indptr, np.arange(start, stop), side="right") - 1
    return rows, distance.indices[start:stop].astype(np.int64)


def _seeds(
    distance: csr_array, times: np.ndarray, cameras: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the most similar pairs with times: of two cameras, and as many of one."""
    wanted = _SEEDS * int(np.isfinite(times).sum())
    rows, columns = _entries(distance, 0, distance.nnz)
    usable = (rows < columns) & np.isfinite(times[rows] + times[columns])
    rows, columns, values = rows[usable], columns[usable], distance.data[usable]
    chosen = []
    for kind in (cameras[rows] != cameras[columns], cameras[rows] == cameras[columns]):
        among = np.flatnonzero(kind)
        if len(among) > wanted:
            limit = np.partition(values[among], wanted - 1)[wanted - 1]
            among = among[values[among] <= limit]
        chosen.append(among)
    both = np.concatenate(chosen)
    return rows[both], columns[both]


def _folds(times: np.ndarray) -> np.ndarray:
    """Return the fold of each image: stretches of time, dealt to the folds in turn."""
    order = np.argsort(times, kind="stable")  # unknown ones last
    place = np.empty(len(times), np.int64)
    place[order] = np.arange(len(times))
    return place * FOLDS * _STRETCHES // max(len(times), 1) % FOLDS


def _earlier(times: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the earlier image of each pair; of equal times the one in the smaller row."""
    first = (times[rows] < times[columns]) | ((times[rows] == times[columns]) & (rows < columns))
    return np.where(first, rows, columns)


def _log_ratio(seeds: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the log ratio of seeds to all pairs, float64 (C, C, B), 0 where there are no seeds.

    Args:
        seeds: float64 (C * C * B,).
        expected: float64 (C, C, B), the share of all pairs of two cameras in a bin.
    """
    cameras, bins = expected.shape[0], expected.shape[2]
    found = _smoothed(seeds.reshape(-1, bins))
    share = _smoothed(expected.reshape(-1, bins))
    chance = share * found.sum(axis=1, keepdims=True)  # seeds, if time said nothing
    ratio = np.ones_like(found)
    within = np.eye(cameras, dtype=bool).ravel()
    for across in (False, True):
        kind = within != across
        common_seeds, common_chance = found[kind].sum(axis=0), chance[kind].sum(axis=0)
        if across:  # the way there is as long as the way back
            common_seeds = common_seeds + common_seeds[::-1]
            common_chance = common_chance + common_chance[::-1]
        common = (common_seeds + _COMMON_PRIOR) / (common_chance + _COMMON_PRIOR)
        ratio[kind] = (found[kind] + _PRIOR) / (chance[kind] + _PRIOR / common)
    seen = chance.sum(axis=1) > 0
    return np.where(seen[:, None], np.log(np.maximum(ratio, _LEAST)), 0).reshape(expected.shape)


def _smoothed(histograms: np.ndarray) -> np.ndarray:
    """Return histograms (H, B), each bin with half of its two neighbours' mean."""
    padded = np.pad(histograms, ((0, 0), (1, 1)), mode="edge")
    low, middle, high = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
    return _SMOOTH[0] * low + _SMOOTH[1] * middle + _SMOOTH[2] * high


def _mean_by_fold(values: np.ndarray, fold: np.ndarray) -> tuple[float, float]:
    """Return the mean of values, and its standard error over folds; (0, inf) below two folds."""
    sizes = np.bincount(fold, minlength=FOLDS)
    used = sizes > 0
    if used.sum() < 2:
        return 0.0, float("inf")
    means = np.bincount(fold, values, FOLDS)[used] / sizes[used]
    return float(values.mean()), float(means.std(ddof=1) / used.sum() ** 0.5)
