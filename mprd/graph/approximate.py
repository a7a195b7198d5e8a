"""Approximate nearest neighbours for millions of rows, with a recall that is measured.

Rows are searched in an inverted file. How many of its lists a row looks at is decided by
measurement: as many as a sample of rows needs for the wanted share of its true neighbours.
"""

import numpy as np

from mprd.graph.card import MOST, faiss_card
from mprd.graph.inverted_file import InvertedFile, single_threads
from mprd.graph.neighbors import SPARE, faiss_threads
from mprd.graph.refine import Refiner
from mprd.system.checks import check_features
from mprd.system.threads import map_blocks


def approximate_knn(
    features: np.ndarray,
    k: int,
    *,
    min_recall: float = 0.95,
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return nearly the k most similar rows of every row, the row itself first.

    The order is that of `knn`. The result is the same for the same device and number of threads.

    Args:
        features: float32 (N, D), rows L2-normalised.
        k: neighbours per row, the row itself included.
        min_recall: share of the true k neighbours that a sample must find; in (0, 1].
        seed: of the sample and the centres.
        device: auto, cpu, cuda or cuda:N. A GPU is used by a faiss that was built for GPUs; the
            usual one searches on the CPU.
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
    width = min(count, k + SPARE)
    card = faiss_card(device) if width <= MOST else None
    with faiss_threads(threads):
        lists = InvertedFile(features, seed, card)
        probes, recall = lists.probes_for(features, k, min_recall, seed)
    candidates = np.empty((count, width), np.int32)

    def search(start: int, stop: int) -> None:
        lists.search(features[start:stop], probes, candidates[start:stop])

    if card is not None and probes <= MOST:
        lists.search_on(card, probes, candidates)
    else:
        with single_threads():
            map_blocks(search, count, threads, lists.block(probes, count))
    _include_self(candidates)
    refiner = Refiner(features, k, threads)
    refiner.add(np.arange(count), candidates, np.full(count, -np.inf))
    return *refiner.finish(), recall


def _include_self(candidates: np.ndarray) -> None:
    """Put each row among its own candidates, in the place of the worst, where it is missing."""
    rows = np.arange(len(candidates))
    missing = ~(candidates == rows[:, None]).any(axis=1)
    candidates[missing, 0] = rows[missing]  # the root of a min-heap
