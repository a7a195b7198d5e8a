"""Exact nearest neighbours by inner product.

A backend (faiss or torch) proposes candidates from a fast float32 product. Their similarities
are then computed again by one kernel in float64, and rows where the proposal cannot be trusted
(ties or near-ties at the boundary) are searched in full. So the answer is that of the
definition, down to ties, and does not depend on backend, block size, device or threads.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np

from mprd.graph.card import MOST, faiss_card
from mprd.graph.kernels import dot
from mprd.graph.refine import Refiner
from mprd.system.checks import check_features
from mprd.system.gpu import gpu_number

# First row of the block, similarity float32 (B, width), index int64 (B, width), in any order.
Candidates = tuple[int, np.ndarray, np.ndarray]
# (features, width, memory in bytes, device) -> candidates of all rows, block by block.
Backend = Callable[[np.ndarray, int, int, str], Iterator[Candidates]]

SPARE = 8  # candidates beyond k: the more, the fewer rows need the full search
DEFAULT_MEMORY = 128 * 2**20


def knn(
    features: np.ndarray,
    k: int,
    backend: str = "auto",
    *,
    memory: int = DEFAULT_MEMORY,
    device: str = "auto",
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the k most similar rows of every row, the row itself first.

    After the row itself the order is by descending similarity, ties by ascending index,
    also where more than k rows tie.

    Args:
        features: float32 (N, D), rows L2-normalised.
        k: neighbours per row, the row itself included.
        backend: `faiss`, `torch`, or `auto`: torch on a GPU, faiss on the CPU. A faiss that was
            built for GPUs uses one.
        memory: bytes that a block of candidates (and, with torch, of similarities) may take, on
            the device of the search; beside the features and the result.
        device: auto (a GPU if there is one), cpu, cuda or cuda:N.
        threads: CPU threads of faiss and of the exact kernel; None: all.

    Returns:
        Similarity float32 (N, k) and index int32 (N, k).

    Raises:
        ValueError: features are not a finite matrix, k is not in 1..N, or an unknown backend.
        UserError: there is no such device.

    Example:
        >>> similarity, index = knn(np.eye(3, dtype=np.float32), 2)
        >>> index.tolist()
        [[0, 1], [1, 0], [2, 0]]
    """
    features = check_features(features)
    count, dim = features.shape
    if not 1 <= k <= count:
        raise ValueError(f"k is {k}; it must be between 1 and the number of rows, {count}.")
    if memory < 1:
        raise ValueError(f"memory is {memory} bytes; it must be positive.")
    search = _select(backend, device)
    # Several times the typical rounding error of a float32 product of this length.
    largest = max((dot(row, row) for row in features), default=0.0)
    tolerance = 8 * float(np.finfo(np.float32).eps) * dim**0.5 * largest
    width = min(count, k + SPARE)
    refiner = Refiner(features, k, threads)
    with faiss_threads(threads if search is _faiss_candidates else None):
        for first, near, candidates in search(features, width, memory, device):
            if width == count:
                floor = np.full(len(near), -np.inf)  # nobody was left out
            else:
                # A row left out has at most the last candidate's similarity, up to rounding.
                floor = near.min(axis=1) + np.float64(tolerance)
            refiner.add(np.arange(first, first + len(near)), candidates, floor)
    return refiner.finish()


def _select(name: str, device: str) -> Backend:
    if name == "auto":
        name = "faiss" if gpu_number(device) is None else "torch"
    if name not in BACKENDS:
        raise ValueError(f"unknown backend {name!r}; known are auto, {', '.join(BACKENDS)}.")
    return BACKENDS[name]


def _faiss_candidates(
    features: np.ndarray, width: int, memory: int, device: str
) -> Iterator[Candidates]:
    """Search with faiss; on the CPU it makes products of 16 MiB, and no copy of the features."""
    import faiss

    chunk = max(1, min(4096, memory // (12 * width)))
    card = faiss_card(device) if width <= MOST else None
    everything = None if card is None else card.exact(features)
    for first in range(0, len(features), chunk):
        rows = features[first : first + chunk]
        if everything is None:
            near, index = faiss.knn(rows, features, width, metric=faiss.METRIC_INNER_PRODUCT)
        else:
            near, index = everything.search(rows, width)
        yield first, near, index


@contextlib.contextmanager
def faiss_threads(threads: int | None) -> Iterator[None]:
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
    features: np.ndarray, width: int, memory: int, device: str
) -> Iterator[Candidates]:
    """Search with torch: products of row chunks, on the CPU or a GPU."""
    import torch

    from mprd.system.torch_setup import select_device

    where = select_device(device)
    chunk = max(1, memory // (4 * len(features)))
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
