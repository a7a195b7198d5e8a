"""Nearest neighbours as the settings of a run say."""

from typing import Any

import numpy as np

from mprd.config import Config
from mprd.graph.approximate import approximate_knn
from mprd.graph.neighbors import knn
from mprd.system.ram import MIB


def nearest(
    vectors: np.ndarray, width: int, config: Config, threads: int | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return similarities, neighbours, and the share of the true neighbours among them."""
    settings = config.graph
    where: dict[str, Any] = {"device": config.device, "threads": threads}
    if settings.backend == "ivf":
        found = approximate_knn(vectors, width, min_recall=settings.min_recall, **where)
        print(f"recall@{width} {found[2]:.3f}, measured on a sample of the images")
        return found
    memory = settings.search_memory_mb * MIB
    exact = knn(vectors, width, settings.backend, memory=memory, **where)
    return *exact, 1.0
