"""A small epoch: features, graph, cameras."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from mprd.gcn.context import RelationContext
from mprd.graph import jaccard_distance, knn


@dataclass(frozen=True)
class Epoch:
    features: np.ndarray
    neighbors: np.ndarray
    distance: csr_array
    cameras: np.ndarray
    identity: np.ndarray
    star: int = 4

    def context(self) -> RelationContext:
        memory = torch.from_numpy(self.features.copy())
        return RelationContext.of_graph(
            memory=memory,
            neighbors=self.neighbors,
            distance=self.distance,
            cameras=self.cameras,
            star=self.star,
        )


def make_epoch(count: int = 90, dim: int = 16, cameras: int = 3, seed: int = 0) -> Epoch:
    """Identities of six images each, moved by their camera."""
    rng = np.random.default_rng(seed)
    identity = np.arange(count) // 6
    camera = rng.integers(0, cameras, count)
    rows = rng.normal(size=(count // 6 + 1, dim))[identity]
    rows = rows + rng.normal(size=(cameras, dim))[camera] + 0.6 * rng.normal(size=(count, dim))
    features = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    _, neighbors = knn(features, 10, "torch")
    distance = jaccard_distance(features, neighbors, 10, 3, 0.7)
    return Epoch(features, neighbors, distance, camera, identity)


@pytest.fixture(scope="session")
def epoch() -> Epoch:
    return make_epoch()
