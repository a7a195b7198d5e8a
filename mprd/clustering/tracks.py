"""Many frames of one track are one sighting: they share one place in the neighbour graph."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.numbering import number_clusters


@dataclass(frozen=True)
class TrackGroups:
    """Which images share a place in the graph: those of a track; any other image has its own.

    The first image of a group stands for it: only first images are neighbours of others and have
    stored pairs. So a list of k neighbours holds k tracks, however many frames they have. An image
    without a track is a group of its own.

    Attributes:
        group: int64 (N,), group of each image, numbered by the first image.
        first: int64 (G,), first image of each group, ascending.
    """

    group: np.ndarray
    first: np.ndarray

    @classmethod
    def of_tracks(cls, tracks: np.ndarray) -> "TrackGroups":
        """Return the groups of tracks int (N,), -1 unknown."""
        own = np.where(
            tracks >= 0, tracks, int(tracks.max(initial=-1)) + 1 + np.arange(len(tracks))
        )
        group = number_clusters(own, min_size=1).astype(np.int64)
        return cls(group, np.unique(group, return_index=True)[1])

    def followed_by(self, count: int) -> "TrackGroups":
        """Return the groups of images, behind which others come that share none."""
        return TrackGroups(
            np.concatenate([self.group, len(self.first) + np.arange(count)]),
            np.concatenate([self.first, len(self.group) + np.arange(count)]),
        )

    @property
    def shared(self) -> bool:
        """Whether any group has two images."""
        return len(self.first) < len(self.group)

    @property
    def sizes(self) -> np.ndarray:
        """Return the images of each group, int64 (G,)."""
        return np.bincount(self.group, minlength=len(self.first))

    def between(self, pairs: csr_array) -> csr_array:
        """Return the stored pairs (G, G) of a graph (N, N); their order stays."""
        indptr = np.append(pairs.indptr[self.first], pairs.nnz)
        count = len(self.first)
        return csr_array((pairs.data, self.group[pairs.indices], indptr), shape=(count, count))

    def between_lists(self, neighbors: np.ndarray) -> np.ndarray:
        """Return the lists (G, k) of a graph's lists (N, k) of neighbours."""
        return self.group[neighbors[self.first]]

    def means(self, features: np.ndarray) -> np.ndarray:
        """Return the normalised mean feature of each group.

        Args:
            features: float32 (N, D), unit rows.

        Returns:
            float32 (G, D), unit rows; where the features of a group cancel out, that of its first
            image.
        """
        order = np.argsort(self.group, kind="stable")
        starts = np.searchsorted(self.group[order], np.arange(len(self.first)))
        total = np.add.reduceat(features[order].astype(np.float64), starts, axis=0)
        length = np.linalg.norm(total, axis=1, keepdims=True)
        mean = np.where(length > 1e-6, total / np.maximum(length, 1e-6), features[self.first])
        return mean.astype(np.float32)

    def lists(
        self, neighbors: np.ndarray, similarities: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the lists of all images from those of the groups.

        Args:
            neighbors: int (G, k), nearest groups, the group itself first.
            similarities: float32 (G, k).

        Returns:
            int (N, k): the image itself, then the first images of the nearest groups; float32
            (N, k).
        """
        rows = self.first[neighbors].astype(neighbors.dtype)[self.group]
        rows[:, 0] = np.arange(len(self.group))
        return rows, similarities[self.group]

    def pairs(self, indptr: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the stored pairs of groups as pairs of their first images.

        Args:
            indptr: int (G + 1,), CSR rows.
            indices: int (nnz,), CSR columns, ascending in each row.

        Returns:
            int64 (N + 1,), int32 (nnz,): rows of other images are empty; columns still ascend.
        """
        stored = np.zeros(len(self.group), np.int64)
        stored[self.first] = np.diff(indptr)
        return np.concatenate([[0], np.cumsum(stored)]), self.first[indices].astype(np.int32)
