"""Approximate nearest neighbours for millions of rows, with a recall that is measured.

An inverted file (Sivic & Zisserman, ICCV 2003): rows lie in lists around k-means centres, and a
row is compared with the lists of its nearest centres only. How many lists is decided by
measurement: as many as a sample of rows needs for the wanted share of its true neighbours.

Many rows are searched at once and list by list, so that a comparison is a matrix product; one row
at a time, as index libraries do it, is bound by memory and several times slower.
"""

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from mprd.graph.neighbors import SPARE, faiss_threads
from mprd.graph.parallel import map_blocks
from mprd.graph.refine import Refiner
from mprd.system.checks import check_features

_SAMPLE = 1000
_BLOCK_PROBES = 2**22  # rows times lists that a thread looks at: about 120 MiB
_LEAST_BLOCK, _MOST_BLOCKS = 256, 64
_LEAST_ROWS_PER_LIST = 39  # below it faiss's k-means warns
_TRAINING_ROWS_PER_LIST = 64
_STRIDE = 16


def approximate_knn(
    features: np.ndarray,
    k: int,
    *,
    min_recall: float = 0.95,
    seed: int = 0,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return nearly the k most similar rows of every row, the row itself first.

    The order is that of `knn`. The result is the same for the same number of threads.

    Args:
        features: float32 (N, D), rows L2-normalised.
        k: neighbours per row, the row itself included.
        min_recall: share of the true k neighbours that a sample must find; in (0, 1].
        seed: of the sample and the centres.
        threads: CPU threads; None: all.

    Returns:
        Similarity float32 (N, k), index int32 (N, k), and the recall of the sample.

    Raises:
        ValueError: features are not a finite matrix, or k or min_recall is out of range.
    """
    features = check_features(features)
    count = len(features)
    if not 1 <= k <= count:
        raise ValueError(f"k is {k}; it must be between 1 and the number of rows, {count}.")
    if not 0 < min_recall <= 1:
        raise ValueError(f"min_recall is {min_recall}; it must be above 0 and at most 1.")
    with faiss_threads(threads):
        lists = _Lists(features, seed)
        probes, recall = lists.probes_for(features, k, min_recall, seed)
    candidates = np.empty((count, min(count, k + SPARE)), np.int32)
    block = max(_LEAST_BLOCK, min(_BLOCK_PROBES // probes, -(-count // _MOST_BLOCKS)))

    def search(start: int, stop: int) -> None:
        import faiss

        faiss.omp_set_num_threads(1)  # holds for the calling thread: here, a worker
        lists.search(features[start:stop], probes, candidates[start:stop])

    with threadpool_limits(1), faiss_threads(1):
        map_blocks(search, count, threads, block)
    _include_self(candidates)
    refiner = Refiner(features, k, threads)
    refiner.add(np.arange(count), candidates, np.full(count, -np.inf))
    return *refiner.finish(), recall


class _Lists:
    """An inverted file.

    Attributes:
        centers: float32 (L, D).
        assigned: int64 (N,), list of each row.
        order: int64 (N,), rows sorted by list.
        start: int64 (L + 1,), where each list begins in `order`.
        sorted: float32 (N, D), features in that order.
    """

    def __init__(self, features: np.ndarray, seed: int) -> None:
        import faiss

        count, dim = features.shape
        size = max(1, min(round(4 * count**0.5), count // _LEAST_ROWS_PER_LIST))
        kmeans = faiss.Kmeans(
            dim,
            size,
            niter=10,
            spherical=True,
            seed=seed + 1,
            max_points_per_centroid=_TRAINING_ROWS_PER_LIST,
        )
        kmeans.train(features)
        self.centers = np.asarray(kmeans.centroids)
        self.assigned = self._nearest(features, 1)[:, 0]
        self.order = np.argsort(self.assigned, kind="stable")
        self.start = np.searchsorted(self.assigned[self.order], np.arange(size + 1))
        self.sorted = features[self.order]

    def probes_for(
        self, features: np.ndarray, k: int, min_recall: float, seed: int
    ) -> tuple[int, float]:
        """Return how many lists a row must look at, and the recall of a sample with so many."""
        import faiss

        rng = np.random.default_rng(seed)
        rows = rng.choice(len(features), min(_SAMPLE, len(features)), replace=False)
        _, truth = faiss.knn(features[rows], features, k, metric=faiss.METRIC_INNER_PRODUCT)
        nearest = self._nearest(features[rows], len(self.centers))
        place = np.empty_like(nearest)
        np.put_along_axis(place, nearest, np.arange(len(self.centers))[None], axis=1)
        # A neighbour is found if its list is among those looked at.
        needed = np.sort(np.take_along_axis(place, self.assigned[truth], axis=1), axis=None) + 1
        probes = int(needed[int(np.ceil(min_recall * len(needed))) - 1])
        return probes, float((needed <= probes).mean())

    def search(self, queries: np.ndarray, probes: int, candidates: np.ndarray) -> None:
        """Write the best rows found, unordered; -1 where the lists hold too few.

        Args:
            queries: float32 (B, D).
            probes: lists that each query looks at.
            candidates: int32 (B, width), written.
        """
        candidates[:] = -1
        values = np.full(candidates.shape, -np.inf, np.float32)
        nearest = self._nearest(queries, probes)
        # Up to 2^16 lists numpy sorts by radix, which is several times faster.
        numbers = nearest.ravel().astype(np.min_scalar_type(len(self.centers)))
        by_list = np.argsort(numbers, kind="stable")
        begin = np.zeros(len(self.centers) + 1, np.int64)
        np.cumsum(np.bincount(numbers, minlength=len(self.centers)), out=begin[1:])
        by_list //= probes
        for number in np.flatnonzero(np.diff(begin) * np.diff(self.start)):
            who = by_list[begin[number] : begin[number + 1]]
            members = slice(self.start[number], self.start[number + 1])
            product = queries[who] @ self.sorted[members].T
            _keep_best(product, who, self.order[members], values, candidates)

    def _nearest(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Return the lists of the nearest centres, int64 (B, count)."""
        import faiss

        return faiss.knn(queries, self.centers, count, metric=faiss.METRIC_INNER_PRODUCT)[1]


@njit(nogil=True, cache=True)
def _keep_best(
    product: np.ndarray,
    who: np.ndarray,
    members: np.ndarray,
    values: np.ndarray,
    candidates: np.ndarray,
) -> None:
    """Keep the best of old candidates and a list's members.

    Args:
        product: float32 (n, m), similarity of some queries to the members of a list.
        who: int64 (n,), the queries.
        members: int64 (m,), the members.
        values: float32 (B, width), a min-heap in each row, updated.
        candidates: int32 (B, width), what the values belong to, updated.
    """
    size = len(members)
    for r in range(len(who)):
        q = who[r]
        for start in range(0, size, _STRIDE):
            stop = min(start + _STRIDE, size)
            # Rarely any is better: counting without a branch is what a processor does at once.
            better = 0
            for c in range(start, stop):
                better += product[r, c] > values[q, 0]
            if better:
                for c in range(start, stop):
                    if product[r, c] > values[q, 0]:
                        _replace_least(values[q], candidates[q], product[r, c], members[c])


@njit(nogil=True, cache=True)
def _replace_least(values: np.ndarray, rows: np.ndarray, value: np.float32, row: int) -> None:
    """Put a value in the place of the least one of a min-heap."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= len(values):
            break
        if child + 1 < len(values) and values[child + 1] < values[child]:
            child += 1
        if values[child] >= value:
            break
        values[place], rows[place] = values[child], rows[child]
        place = child
    values[place], rows[place] = value, row


def _include_self(candidates: np.ndarray) -> None:
    """Put each row among its own candidates, in the place of the worst, where it is missing."""
    rows = np.arange(len(candidates))
    missing = ~(candidates == rows[:, None]).any(axis=1)
    candidates[missing, 0] = rows[missing]  # the root of a min-heap
