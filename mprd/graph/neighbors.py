"""Exact nearest neighbours by inner product.

A backend (faiss or torch) proposes candidates from a fast float32 product. Their similarities
are then computed again by one kernel in float64, and rows where the proposal cannot be trusted
(ties or near-ties at the boundary) are searched in full. So the answer is that of the
definition, down to ties, and does not depend on backend, chunk size, device or threads.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numba import njit

from mprd.graph.kernels import check_features, dot
from mprd.graph.parallel import map_blocks

# First row of the block, similarity float32 (B, width), index int64 (B, width), in any order.
Candidates = tuple[int, np.ndarray, np.ndarray]
# (features, width, chunk_size, device) -> candidates of all rows, block by block.
Backend = Callable[[np.ndarray, int, int | None, str | None], Iterator[Candidates]]

_SPARE = 8  # candidates beyond k: the more, the fewer rows need the full search
_BLOCK_ELEMENTS = 2**25  # similarities held at once by the torch backend: 128 MiB


def knn(
    features: np.ndarray,
    k: int,
    backend: str = "auto",
    *,
    chunk_size: int | None = None,
    device: str | None = None,
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k most similar rows of every row, the row itself first.

    After the row itself the order is by descending similarity, ties by ascending index,
    also where more than k rows tie.

    Args:
        features: float32 (N, D), rows L2-normalised.
        k: neighbours per row, the row itself included.
        backend: `faiss`, `torch`, or `auto`: torch if there is a CUDA device, else faiss.
        chunk_size: rows searched at once; None: a default that bounds memory.
        device: of the torch backend; None: CUDA if available, else the CPU.
        threads: CPU threads of faiss and of the exact kernel; None: all.

    Returns:
        Similarity float32 (N, k) and index int32 (N, k).

    Raises:
        ValueError: features are not a finite matrix, k is not in 1..N, or an unknown backend.

    Example:
        >>> similarity, index = knn(np.eye(3, dtype=np.float32), 2)
        >>> index.tolist()
        [[0, 1], [1, 0], [2, 0]]
    """
    features = check_features(features)
    count, dim = features.shape
    if not 1 <= k <= count:
        raise ValueError(f"k is {k}; it must be between 1 and the number of rows, {count}.")
    if chunk_size is not None and chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}; it must be at least 1.")
    search = _select(backend)
    similarity = np.empty((count, k), np.float32)
    index = np.empty((count, k), np.int32)
    unsure = np.empty(count, np.bool_)
    # Several times the typical rounding error of a float32 product of this length.
    largest = max((dot(row, row) for row in features), default=0.0)
    tolerance = 8 * float(np.finfo(np.float32).eps) * dim**0.5 * largest
    width = min(count, k + _SPARE)
    with _faiss_threads(threads if search is _faiss_candidates else None):
        for first, near, candidates in search(features, width, chunk_size, device):
            _refine_block(
                features, first, near, candidates, tolerance, similarity, index, unsure, threads
            )
    _search_in_full(features, np.flatnonzero(unsure), similarity, index, threads)
    return similarity, index


def _select(name: str) -> Backend:
    """Return the search function of a backend name."""
    if name == "auto":
        name = "torch" if _cuda_usable() else "faiss"
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}; known are auto, {', '.join(BACKENDS)}.")
    return BACKENDS[name]


def _cuda_usable() -> bool:
    """Tell whether torch sees a CUDA device; torch (2 s) is imported only where one may be."""
    dev = Path("/dev")
    if not any(dev.glob("nvidia[0-9]*")) and not (dev / "dxg").exists():
        return False
    import torch

    return torch.cuda.is_available()


def _faiss_candidates(
    features: np.ndarray, width: int, chunk_size: int | None, device: str | None
) -> Iterator[Candidates]:
    """Search with faiss on the CPU; it blocks its own products, so memory is bounded."""
    import faiss

    index = faiss.IndexFlatIP(features.shape[1])
    index.add(features)
    chunk = chunk_size or 4096
    for first in range(0, len(features), chunk):
        yield first, *index.search(features[first : first + chunk], width)


@contextlib.contextmanager
def _faiss_threads(threads: int | None) -> Iterator[None]:
    """Set the threads of faiss, which are global, and put them back."""
    if threads is None:
        yield
        return
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _torch_candidates(
    features: np.ndarray, width: int, chunk_size: int | None, device: str | None
) -> Iterator[Candidates]:
    """Search with torch: products of row chunks, on the CPU or a GPU."""
    import torch

    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    chunk = chunk_size or max(1, _BLOCK_ELEMENTS // len(features))
    # A caller may have chosen TF32 or autocast; candidates need full float32.
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.inference_mode(), torch.autocast(where.type, enabled=False):
            everything = torch.from_numpy(features).to(where)
            for first in range(0, len(features), chunk):
                product = everything[first : first + chunk] @ everything.T
                near, index = product.topk(width, dim=1, sorted=False)
                yield first, near.cpu().numpy(), index.cpu().numpy()
    finally:
        torch.set_float32_matmul_precision(precision)


BACKENDS: dict[str, Backend] = {"faiss": _faiss_candidates, "torch": _torch_candidates}


def _refine_block(
    features: np.ndarray,
    first: int,
    near: np.ndarray,
    candidates: np.ndarray,
    tolerance: float,
    similarity: np.ndarray,
    index: np.ndarray,
    unsure: np.ndarray,
    threads: int | None,
) -> None:
    """Fill the rows of one block of candidates, on several threads."""
    if candidates.shape[1] == len(features):
        floor = np.full(len(near), -np.inf)  # nobody was left out
    else:
        # A row left out has at most the last candidate's similarity, up to rounding.
        floor = near.min(axis=1) + np.float64(tolerance)

    def refine(start: int, stop: int) -> None:
        rows = slice(first + start, first + stop)
        _refine(
            features,
            first + start,
            candidates[start:stop],
            floor[start:stop],
            similarity[rows],
            index[rows],
            unsure[rows],
        )

    map_blocks(refine, len(near), threads)


@njit(nogil=True, cache=True)
def _refine(
    features: np.ndarray,
    first: int,
    candidates: np.ndarray,
    floor: np.ndarray,
    similarity: np.ndarray,
    index: np.ndarray,
    unsure: np.ndarray,
) -> None:
    """Sort the candidates by their exact similarity and keep k; flag rows that may be wrong.

    Args:
        features: float32 (N, D).
        first: row number of the first row of the block.
        candidates: int64 (B, width).
        floor: float64 (B,), the k-th similarity must exceed it for the row to be certain.
        similarity: float32 (B, k), written.
        index: int32 (B, k), written.
        unsure: bool (B,), written.
    """
    rows, width = candidates.shape
    k = index.shape[1]
    keys = np.empty(width, np.float32)
    order = np.empty(width, np.int32)
    for r in range(rows):
        itself = first + r
        found = False
        for c in range(width):
            j = np.int32(candidates[r, c])
            key = np.float32(dot(features[itself], features[j]))
            if j == itself:
                found = True
                own = key
                key = np.float32(np.inf)
            p = c
            while p > 0 and (keys[p - 1] < key or (keys[p - 1] == key and order[p - 1] > j)):
                keys[p] = keys[p - 1]
                order[p] = order[p - 1]
                p -= 1
            keys[p] = key
            order[p] = j
        unsure[r] = not found or not keys[k - 1] > floor[r]
        if found:
            keys[0] = own
        similarity[r] = keys[:k]
        index[r] = order[:k]


def _search_in_full(
    features: np.ndarray,
    rows: np.ndarray,
    similarity: np.ndarray,
    index: np.ndarray,
    threads: int | None,
) -> None:
    """Search the given rows without candidates: every similarity exact, stably sorted."""
    k = index.shape[1]

    def search(start: int, stop: int) -> None:
        chosen = rows[start:stop]
        exact = _exact_rows(features, chosen)
        own = (np.arange(len(chosen)), chosen)
        values = exact[own]
        exact[own] = np.inf
        order = np.argsort(-exact, axis=1, kind="stable")[:, :k]
        exact[own] = values
        index[chosen] = order
        similarity[chosen] = np.take_along_axis(exact, order, axis=1)

    map_blocks(search, len(rows), threads, block=max(1, 2**20 // len(features)))


@njit(nogil=True, cache=True)
def _exact_rows(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the similarity of some rows to all rows, float32 (len(rows), N)."""
    exact = np.empty((len(rows), len(features)), np.float32)
    for r in range(len(rows)):
        for j in range(len(features)):
            exact[r, j] = dot(features[rows[r]], features[j])
    return exact
