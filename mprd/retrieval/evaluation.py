"""Retrieval metrics: mAP, CMC and mINP of queries against a gallery, without sorting it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numba import njit

from mprd.system.checks import check_features, check_integers
from mprd.system.threads import worker_count

_CHUNK_BYTES = 128 * 2**20
_ROWS_PER_TASK = 32


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`.

    Attributes:
        map: mean average precision over the valid queries.
        cmc: rank -> share of valid queries with a hit at this rank or before.
        minp: mean inverse negative penalty: hits / rank of the last hit (Ye et al., T-PAMI 2022).
        num_valid_queries: queries with a match in the gallery.
        average_precision: float64 (Q,), NaN for a query without a match.
        first_hit_rank: int32 (Q,), 1-based, 0 for a query without a match.
        inverse_negative_penalty: float64 (Q,), NaN for a query without a match.
        top: int32 (Q, top), the best gallery images, -1 where there are fewer.
        top_distance: float32 (Q, top), 2 - 2 cos, or the distance given; NaN where there are fewer.
    """

    map: float
    cmc: dict[int, float]
    minp: float
    num_valid_queries: int
    average_precision: np.ndarray
    first_hit_rank: np.ndarray
    inverse_negative_penalty: np.ndarray
    top: np.ndarray
    top_distance: np.ndarray


def evaluate(
    query_features: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_features: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    ranks: Sequence[int] = (1, 5, 10),
    *,
    distance: np.ndarray | None = None,
    correction: Callable[[slice], np.ndarray] | None = None,
    top: int = 0,
) -> Evaluation:
    """Evaluate single-query retrieval by cosine.

    Gallery images of the query's identity *and* camera are dropped (an unknown camera, -1, is
    never the same). Queries without a match are skipped and counted. Equal similarities are
    ranked in gallery order. A hit's rank is a count of the gallery images before it.

    Args:
        query_features: float32 (Q, D); rows are L2-normalised here.
        query_ids: int (Q,), >= 0.
        query_cameras: int (Q,), -1 unknown.
        gallery_features: float32 (G, D); rows are L2-normalised here.
        gallery_ids: int (G,), -1 matches no query.
        gallery_cameras: int (G,), -1 unknown.
        ranks: ranks of the CMC.
        distance: (Q, G), used instead of the features, for re-ranking.
        correction: what to add to the similarities of some queries, (q, G), such as what their
            times say; worker threads ask for it.
        top: also list so many of the best gallery images of each query.

    Raises:
        ValueError: shapes that do not fit, NaN or infinite values, ids or cameras that are no
            whole numbers, a query without identity, or no query with a match.
    """
    sides = _Sides(query_ids, query_cameras, gallery_ids, gallery_cameras)
    count = len(sides.query_ids)
    precision = np.full(count, np.nan)
    penalty = np.full(count, np.nan)
    first = np.zeros(count, np.int32)
    best = np.full((count, top), -1, np.int32)
    value = np.full((count, top), np.nan, np.float32)

    with ThreadPoolExecutor(worker_count(None)) as pool:
        for begin, block in _similarities(query_features, gallery_features, distance, sides):

            def score(start: int, begin: int = begin, block: np.ndarray = block) -> None:
                stop = min(start + _ROWS_PER_TASK, begin + len(block))
                if correction is not None:
                    block[start - begin : stop - begin] += correction(slice(start, stop))
                rows = block, *sides.arrays(), begin, start, stop
                _score_rows(*rows, precision, penalty, first)
                if top:
                    _best_rows(*rows, best, value)

            list(pool.map(score, range(begin, begin + len(block), _ROWS_PER_TASK)))
    valid = first > 0
    if not valid.any():
        raise ValueError("no query has a match in the gallery")
    return Evaluation(
        float(precision[valid].mean()),
        {int(rank): float((first[valid] <= rank).mean()) for rank in ranks},
        float(penalty[valid].mean()),
        int(valid.sum()),
        precision,
        first,
        penalty,
        best,
        2 - 2 * value if distance is None else -value,
    )


class _Sides:
    """Checked identities and cameras of queries and gallery."""

    def __init__(
        self,
        query_ids: np.ndarray,
        query_cameras: np.ndarray,
        gallery_ids: np.ndarray,
        gallery_cameras: np.ndarray,
    ) -> None:
        queries, gallery = len(query_ids), len(gallery_ids)
        self.query_ids = check_integers(query_ids, queries, "query_ids")
        self.query_cameras = check_integers(query_cameras, queries, "query_cameras")
        self.gallery_ids = check_integers(gallery_ids, gallery, "gallery_ids")
        self.gallery_cameras = check_integers(gallery_cameras, gallery, "gallery_cameras")
        if (self.query_ids < 0).any():
            raise ValueError("every query needs an identity >= 0")

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the arrays in the order that the kernel takes them."""
        return self.query_ids, self.query_cameras, self.gallery_ids, self.gallery_cameras


def _similarities(
    query_features: np.ndarray,
    gallery_features: np.ndarray,
    distance: np.ndarray | None,
    sides: _Sides,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first query, float32 (rows, G)) blocks; larger is more similar.

    A block is overwritten by the next one.
    """
    queries, gallery = len(sides.query_ids), len(sides.gallery_ids)
    rows = max(1, _CHUNK_BYTES // (4 * max(1, gallery)))
    if distance is not None:
        if distance.shape != (queries, gallery):
            raise ValueError(f"distance is {distance.shape}, expected {(queries, gallery)}")
        finite = np.isfinite(distance).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise ValueError(f"distance holds NaN or infinite values, first in row {row}")
        for start in range(0, queries, rows):
            yield start, -np.ascontiguousarray(distance[start : start + rows], np.float32)
        return
    query = _normalized(query_features, "query_features")
    other = _normalized(gallery_features, "gallery_features")
    if len(query) != queries or len(other) != gallery or query.shape[1] != other.shape[1]:
        raise ValueError(
            f"features {query.shape} and {other.shape} do not fit {queries} queries and "
            f"{gallery} gallery images"
        )
    block = np.empty((min(rows, queries), gallery), np.float32)
    for start in range(0, queries, rows):
        part = query[start : start + rows]
        yield start, np.matmul(part, other.T, out=block[: len(part)])


def _normalized(features: np.ndarray, name: str) -> np.ndarray:
    """Return unit rows; no copy of those that have unit length up to rounding."""
    features = check_features(features, name)
    length = np.sqrt(np.einsum("ij,ij->i", features, features))[:, None]
    if np.abs(length - 1).max(initial=0) < 1e-6:
        return features
    return features / np.where(length > 0, length, 1)


@njit(nogil=True, cache=True)
def _score_rows(
    similarity: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    begin: int,
    start: int,
    stop: int,
    precision: np.ndarray,
    penalty: np.ndarray,
    first: np.ndarray,
) -> None:
    """Score queries start..stop; row 0 of `similarity` is query `begin`.

    The hits of a query are sorted; each other valid gallery image is placed among them by binary
    search, and running sums of these counts are the ranks.
    """
    for q in range(start, stop):
        row, identity, camera = similarity[q - begin], query_ids[q], query_cameras[q]
        hits = np.empty(len(row), np.int64)
        size = 0
        for g in range(len(row)):
            if gallery_ids[g] == identity and (gallery_cameras[g] != camera or camera < 0):
                hits[size] = g
                size += 1
        if size == 0:
            continue
        hits = hits[:size]
        # Gallery order among equals: a stable sort of values that ascend.
        values = -row[hits]
        order = np.argsort(values, kind="mergesort")
        hits, values = hits[order], values[order]
        before = np.zeros(size + 1, np.int64)
        last = -values[size - 1]
        for g in range(len(row)):
            # Most images rank behind the last hit, and do not count.
            if row[g] >= last and gallery_ids[g] != identity:
                before[_place(values, hits, -row[g], g)] += 1
        others, total = 0, 0.0
        for k in range(size):
            others += before[k]
            rank = others + k + 1
            total += (k + 1) / rank
            if k == 0:
                first[q] = rank
        precision[q] = total / size
        penalty[q] = size / (others + size)


@njit(nogil=True, cache=True)
def _best_rows(
    similarity: np.ndarray,
    query_ids: np.ndarray,
    query_cameras: np.ndarray,
    gallery_ids: np.ndarray,
    gallery_cameras: np.ndarray,
    begin: int,
    start: int,
    stop: int,
    best: np.ndarray,
    value: np.ndarray,
) -> None:
    """List the best gallery images of queries start..stop, equals in gallery order."""
    top = best.shape[1]
    for q in range(start, stop):
        row, identity, camera = similarity[q - begin], query_ids[q], query_cameras[q]
        size = 0
        for g in range(len(row)):
            if size == top and not row[g] > value[q, top - 1]:
                continue
            if gallery_ids[g] == identity and gallery_cameras[g] == camera and camera >= 0:
                continue
            p = size if size < top else top - 1
            size = p + 1
            while p > 0 and value[q, p - 1] < row[g]:
                value[q, p], best[q, p] = value[q, p - 1], best[q, p - 1]
                p -= 1
            value[q, p], best[q, p] = row[g], g


@njit(nogil=True, cache=True)
def _place(values: np.ndarray, hits: np.ndarray, value: float, g: int) -> int:
    """Return the first hit that ranks behind gallery image g with this (negated) similarity."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < value or (values[middle] == value and hits[middle] < g):
            low = middle + 1
        else:
            high = middle
    return low
