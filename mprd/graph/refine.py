"""The last word of a neighbour search: candidates put in exact order, by one kernel in float64.

Whatever proposed the candidates, the answer is that of the definition, down to ties.
"""

import numpy as np
from numba import njit

from mprd.graph.kernels import dot
from mprd.system.threads import map_blocks


class Refiner:
    """Collects the answer from blocks of candidates.

    Attributes:
        similarity: float32 (N, k), of the rows given so far.
        index: int32 (N, k).
    """

    def __init__(self, features: np.ndarray, k: int, threads: int | None) -> None:
        """Set up for float32 (N, D) features and k neighbours."""
        self.features, self.threads = features, threads
        self.similarity = np.empty((len(features), k), np.float32)
        self.index = np.empty((len(features), k), np.int32)
        self._unsure = np.zeros(len(features), np.bool_)

    def add(self, rows: np.ndarray, candidates: np.ndarray, floor: np.ndarray) -> None:
        """Sort the candidates of some rows and keep the best k.

        Args:
            rows: int64 (B,).
            candidates: int32 or int64 (B, width), in any order, none twice in a row; -1:
                none. A row with fewer than k is searched in full by `finish`.
            floor: float64 (B,), what the k-th similarity must exceed for the row to be certain;
                else it is searched in full by `finish`.
        """

        def refine(start: int, stop: int) -> None:
            part = slice(start, stop)
            _refine(
                self.features,
                rows[part],
                candidates[part],
                floor[part],
                self.similarity,
                self.index,
                self._unsure,
            )

        map_blocks(refine, len(candidates), self.threads)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Search what is not certain in full; return similarity and index."""
        rows = np.flatnonzero(self._unsure)
        block = max(1, 2**20 // len(self.features))
        map_blocks(
            lambda start, stop: self._search(rows[start:stop]), len(rows), self.threads, block
        )
        return self.similarity, self.index

    def _search(self, rows: np.ndarray) -> None:
        """Search rows without candidates: every similarity exact, stably sorted."""
        exact = _exact_rows(self.features, rows)
        own = (np.arange(len(rows)), rows)
        values = exact[own]
        exact[own] = np.inf
        order = np.argsort(-exact, axis=1, kind="stable")[:, : self.index.shape[1]]
        exact[own] = values
        self.index[rows] = order
        self.similarity[rows] = np.take_along_axis(exact, order, axis=1)


@njit(nogil=True, cache=True)
def _refine(
    features: np.ndarray,
    rows: np.ndarray,
    candidates: np.ndarray,
    floor: np.ndarray,
    similarity: np.ndarray,
    index: np.ndarray,
    unsure: np.ndarray,
) -> None:
    """Sort the candidates by their exact similarity and keep k; flag rows that may be wrong.

    Args:
        features: float32 (N, D).
        rows: int64 (B,).
        candidates: int32 or int64 (B, width), -1: none.
        floor: float64 (B,), the k-th similarity must exceed it for the row to be certain.
        similarity: float32 (N, k), `rows` are written.
        index: int32 (N, k), `rows` are written.
        unsure: bool (N,), `rows` are written.
    """
    width = candidates.shape[1]
    k = index.shape[1]
    keys = np.empty(width, np.float32)
    order = np.empty(width, np.int32)
    for r in range(len(rows)):
        itself = rows[r]
        found = False
        size = 0
        for c in range(width):
            j = np.int32(candidates[r, c])
            if j < 0:
                continue
            key = np.float32(dot(features[itself], features[j]))
            if j == itself:
                found = True
                own = key
                key = np.float32(np.inf)
            p = size
            size += 1
            while p > 0 and (keys[p - 1] < key or (keys[p - 1] == key and order[p - 1] > j)):
                keys[p] = keys[p - 1]
                order[p] = order[p - 1]
                p -= 1
            keys[p] = key
            order[p] = j
        unsure[itself] = not found or size < k or not keys[k - 1] > floor[r]
        if not unsure[itself]:
            keys[0] = own
            similarity[itself] = keys[:k]
            index[itself] = order[:k]


@njit(nogil=True, cache=True)
def _exact_rows(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the similarity of some rows to all rows, float32 (len(rows), N)."""
    exact = np.empty((len(rows), len(features)), np.float32)
    for r in range(len(rows)):
        for j in range(len(features)):
            exact[r, j] = dot(features[rows[r]], features[j])
    return exact
