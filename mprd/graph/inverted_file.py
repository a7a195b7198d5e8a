"""An inverted file: rows in lists around k-means centres, of which a query looks at a few.

Sivic & Zisserman, Video Google, ICCV 2003. Many rows are searched at once and list by list, so
that a comparison is a matrix product; one row at a time, as index libraries do it, is bound by
memory and several times slower.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
from numba import njit
from threadpoolctl import threadpool_limits

from mprd.graph.card import MOST, Card
from mprd.graph.neighbors import faiss_threads

_SAMPLE = 1000
_BLOCK_PROBES = 2**22  # rows times lists that a thread looks at: about 120 MiB
_LEAST_BLOCK, _MOST_BLOCKS = 256, 64
_LEAST_ROWS_PER_LIST = 39  # below it faiss's k-means warns
_TRAINING_ROWS_PER_LIST = 64
_STRIDE = 16
_CARD_BLOCK = 2**16  # rows that a GPU searches at once


@contextlib.contextmanager
def single_threads() -> Iterator[None]:
    """Let libraries use one thread each: n workers would else start n threads each."""
    with threadpool_limits(1), faiss_threads(1):
        yield


class InvertedFile:
    """Rows in lists around k-means centres.

    Attributes:
        features: float32 (N, D), kept, not copied.
        centers: float32 (L, D).
        assigned: int64 (N,), list of each row.
        order: int64 (N,), rows sorted by list.
        start: int64 (L + 1,), where each list begins in `order`.
        sorted: float32 (N, D), features in that order.
    """

    def __init__(self, features: np.ndarray, seed: int, card: Card | None = None) -> None:
        """Sort rows into lists.

        Args:
            features: float32 (N, D), rows L2-normalised or shorter.
            seed: of the centres.
            card: where centres are found and true neighbours searched; None: on the CPU.
        """
        import faiss

        self.features, self._card = features, card
        count, dim = features.shape
        size = max(1, min(round(4 * count**0.5), count // _LEAST_ROWS_PER_LIST))
        kmeans = faiss.Kmeans(
            dim,
            size,
            niter=10,
            spherical=True,
            seed=seed + 1,
            min_points_per_centroid=1,  # of a single list, whose size nobody chose
            max_points_per_centroid=_TRAINING_ROWS_PER_LIST,
        )
        if card is not None:
            kmeans.index = card.load(kmeans.index)
        kmeans.train(features)
        self.centers = np.asarray(kmeans.centroids)
        self.assigned = self._nearest(features, 1)[:, 0]
        self.order = np.argsort(self.assigned, kind="stable")
        self.start = np.searchsorted(self.assigned[self.order], np.arange(size + 1))
        self.sorted = features[self.order]

    def probes_for(
        self, queries: np.ndarray, k: int, min_recall: float, seed: int
    ) -> tuple[int, float]:
        """Return how many lists a query must look at, and the recall of a sample with so many.

        Args:
            queries: float32 (Q, D), of which a sample is searched in full.
            k: neighbours wanted.
            min_recall: share of the true neighbours that the sample must find.
            seed: of the sample.
        """
        rng = np.random.default_rng(seed)
        sample = queries[rng.choice(len(queries), min(_SAMPLE, len(queries)), replace=False)]
        truth = self._knn(sample, self.features, k)
        nearest = self._nearest(sample, len(self.centers))
        place = np.empty_like(nearest)
        np.put_along_axis(place, nearest, np.arange(len(self.centers))[None], axis=1)
        # A neighbour is found if its list is among those looked at.
        needed = np.sort(np.take_along_axis(place, self.assigned[truth], axis=1), axis=None) + 1
        probes = int(needed[int(np.ceil(min_recall * len(needed))) - 1])
        return probes, float((needed <= probes).mean())

    def block(self, probes: int, count: int) -> int:
        """Return how many of `count` queries a thread should search at once."""
        return max(_LEAST_BLOCK, min(_BLOCK_PROBES // probes, -(-count // _MOST_BLOCKS)))

    def search_on(self, card: Card, probes: int, candidates: np.ndarray) -> None:
        """Write the best rows found for every row, the worst first; -1 where there are too few.

        Args:
            card: where the lists are searched.
            probes: lists that each row looks at, at most `MOST`.
            candidates: int32 (N, width), written; width is at most `MOST`.
        """
        index = card.inverted(self.features, self.centers, probes)
        for first in range(0, len(candidates), _CARD_BLOCK):
            rows = slice(first, first + _CARD_BLOCK)
            found = index.search(self.features[rows], candidates.shape[1])[1]
            candidates[rows] = found[:, ::-1]

    def search(self, queries: np.ndarray, probes: int, candidates: np.ndarray) -> np.ndarray:
        """Write the best rows found, unordered; -1 where the lists hold too few.

        To be called in workers with one thread each (`single_threads`).

        Args:
            queries: float32 (B, D).
            probes: lists that each query looks at.
            candidates: int32 (B, width), written.

        Returns:
            Their inner products, float32 (B, width), -inf where there is none.
        """
        import faiss

        faiss.omp_set_num_threads(1)  # holds for the calling thread: here, a worker
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
        return values

    def _nearest(self, queries: np.ndarray, count: int) -> np.ndarray:
        """Return the lists of the nearest centres, int64 (B, count)."""
        return self._knn(queries, self.centers, count)

    def _knn(self, queries: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
        """Return the nearest of some rows, exactly, int64 (B, count)."""
        import faiss

        if self._card is not None and count <= MOST:
            return self._card.exact(among).search(queries, count)[1]
        return faiss.knn(queries, among, count, metric=faiss.METRIC_INNER_PRODUCT)[1]


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
