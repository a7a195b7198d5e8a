"""Embeddings around the means of their cameras.

Embeddings of one camera lie together, whoever is shown. Taking away the mean of the camera removes
that, so that images of two cameras can be compared.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK_ROWS = 2**14


@dataclass(frozen=True)
class CameraFrame:
    """Cameras of the images, and the inner products that centring takes.

    The means are those of the epoch's start and stay; the products follow the memory.

    Attributes:
        cameras: int64 (N,), 0..C-1; unknown cameras count as one camera of their own.
        known: bool (N,), whether the camera is known.
        means: float32 (C, D), mean embedding of each camera; 0 for a camera with one image.
        between_means: float32 (C, C), inner products of the means.
        to_means: float32 (N, C), inner products of the embeddings with the means.
        norms: float32 (N,), length of each embedding less its camera's mean.
    """

    cameras: Tensor
    known: Tensor
    means: Tensor
    between_means: Tensor
    to_means: Tensor
    norms: Tensor

    @classmethod
    def of_images(cls, memory: Tensor, cameras: np.ndarray) -> "CameraFrame":
        """Return the frame of some embeddings.

        Args:
            memory: float32 (N, D), unit rows.
            cameras: int (N,), -1 unknown.
        """
        _, dense, sizes = np.unique(cameras, return_inverse=True, return_counts=True)
        camera = torch.from_numpy(dense.astype(np.int64)).to(memory.device)
        known = torch.from_numpy(cameras >= 0).to(memory.device)
        return cls._around(memory, camera, known, _group_means(memory, camera, sizes.tolist()))

    @classmethod
    def _around(
        cls, memory: Tensor, cameras: Tensor, known: Tensor, means: Tensor
    ) -> "CameraFrame":
        between, to_means = means @ means.T, memory @ means.T
        norms = _centred_norms(memory, cameras, to_means, between)
        return cls(cameras, known, means, between, to_means, norms)

    def extended(self, memory: Tensor, origin: Tensor) -> "CameraFrame":
        """Return the frame with more rows behind, each of the camera of an image.

        Args:
            memory: float32 (N + m, D), embeddings of all rows.
            origin: int64 (m,), row of the image that gives the camera.
        """
        cameras = torch.cat([self.cameras, self.cameras[origin]])
        known = torch.cat([self.known, self.known[origin]])
        return self._around(memory, cameras, known, self.means)

    def refresh(self, memory: Tensor, rows: Tensor | slice) -> None:
        """Take note that these rows of the memory have changed."""
        self.to_means[rows] = memory[rows] @ self.means.T
        self.norms[rows] = _centred_norms(
            memory[rows], self.cameras[rows], self.to_means[rows], self.between_means
        )

    def centred(self, features: Tensor, cameras: Tensor) -> Tensor:
        """Return features less their camera's mean, normalised.

        Args:
            features: float32 (m, D).
            cameras: int64 (m,).
        """
        return F.normalize(features - self.means[cameras], dim=1)

    def cosine(self, rows: Tensor, columns: Tensor, plain: Tensor) -> Tensor:
        """Return the cosine of embeddings less their cameras' means.

        Args:
            rows: int64, any shape.
            columns: int64, the same shape.
            plain: their cosine.
        """
        a, b = self.cameras[rows], self.cameras[columns]
        product = plain - self.to_means[rows, b] - self.to_means[columns, a]
        product = product + self.between_means[a, b]
        return (product / (self.norms[rows] * self.norms[columns])).clamp(-1, 1)

    def same(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Tell which pairs are of one known camera."""
        return (self.cameras[rows] == self.cameras[columns]) & self.known[rows]


def inner_products(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the inner products of pairs of rows, in blocks: many gathered rows are large.

    Args:
        features: float32 (N, D).
        rows: int64, any shape.
        columns: int64, the same shape.
    """
    flat = zip(rows.flatten().split(_BLOCK_ROWS), columns.flatten().split(_BLOCK_ROWS), strict=True)
    parts = [(features[a] * features[b]).sum(dim=-1) for a, b in flat]
    return torch.cat(parts).reshape(rows.shape) if parts else features.new_zeros(rows.shape)


def _centred_norms(
    features: Tensor, cameras: Tensor, to_means: Tensor, between_means: Tensor
) -> Tensor:
    own = to_means.gather(1, cameras[:, None])[:, 0]
    squared = (features**2).sum(dim=1) - 2 * own
    squared = squared + between_means[cameras, cameras]
    return squared.clamp_min(1e-12).sqrt()


def _group_means(values: Tensor, group: Tensor, sizes: list[int]) -> Tensor:
    """Return the mean row of each group, (C, D); 0 for a group of one, which has no other."""
    counts = torch.tensor(sizes, device=values.device)
    if values.is_cuda:
        total = sums_in_turn(values, group, sizes)
    else:
        total = values.new_zeros(len(sizes), values.shape[1]).index_add_(0, group, values)
    return total / counts[:, None] * (counts > 1)[:, None]


def sums_in_turn(values: Tensor, group: Tensor, sizes: list[int]) -> Tensor:
    """Return the sum of each group's rows, (C, D), the same in every run.

    On a GPU `index_add_` adds in an order that changes from run to run.
    """
    total = values.new_zeros(len(sizes), values.shape[1])
    for rows, sum_ in zip(torch.argsort(group, stable=True).split(sizes), total, strict=True):
        sum_.copy_(values[rows].sum(dim=0))
    return total
