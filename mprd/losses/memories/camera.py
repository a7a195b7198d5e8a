"""Camera proxies beside prototypes, one for each camera of a cluster (Wang et al., AAAI 2021)."""

import torch
from torch import Tensor

from mprd.config import TrainConfig
from mprd.losses.memories.cluster import ClusterMemory, move_rows
from mprd.losses.memories.registry import MemoryInputs
from mprd.losses.memories.sums import centroids, cluster_means
from mprd.pairs.pair_list import equal_values


class CameraMemory(ClusterMemory):
    """A cluster memory that also holds what each cluster looks like in each of its cameras.

    Attributes:
        proxies: float32 (Q, D), one unit row for each cluster and camera in which it is seen.
        proxy_cluster: int64 (Q,).
        proxy_camera: int64 (Q,), -1: the images whose camera is unknown.
        proxy: int64 (N,), proxy of each image, -1 outlier.
        cameras: the largest camera + 2: that many values has `proxy_camera` + 1 at most.
    """

    def __init__(self, inputs: MemoryInputs, settings: TrainConfig) -> None:
        """Start from the epoch's features; arguments as `MemoryInputs` and the `train` section."""
        super().__init__(
            inputs.features,
            inputs.labels,
            settings.momentum,
            settings.memory_update,
            inputs.weights,
        )
        inside = inputs.labels >= 0
        span = self.cameras = int(inputs.cameras.max()) + 2  # cameras -1 .. largest
        key = inputs.labels * span + inputs.cameras + 1
        distinct, place = torch.unique(key[inside], return_inverse=True)
        self.proxy_cluster = distinct // span
        self.proxy_camera = distinct % span - 1
        self.proxy = torch.full_like(inputs.labels, -1)
        self.proxy[inside] = place
        self.proxies = centroids(inputs.features, self.proxy, inputs.weights)

    @torch.no_grad()
    def update(self, rows: Tensor, features: Tensor) -> None:
        """Take over a batch; a proxy moves to the weighted mean of its images there."""
        super().update(rows, features)
        features = features.detach().to(self.proxies.dtype)
        moved = self.proxy[rows]
        mean = cluster_means(features, equal_values(moved), self.weights[rows])
        move_rows(self.proxies, moved, mean, self.momentum)


def camera_memory(inputs: MemoryInputs, settings: TrainConfig) -> CameraMemory:
    """Build the memory of CAP with the settings' momentum and update."""
    return CameraMemory(inputs, settings)
