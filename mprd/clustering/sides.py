"""Animals are known by a flank, and the left one tells nothing about the right one.

An image of a known side never shares a cluster with one of another known side; an image whose side
is unknown may go with any of them. Nothing of size N x N is needed for that: a side is a block, so
pairs of two sides are dropped, and a cluster takes the side of the first image in it that has one.
What a person decides stands above it: a yes to a left and a right flank joins their clusters.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from mprd.clustering.graph_matrix import within
from mprd.clustering.numbering import number_clusters
from mprd.clustering.tracks import TrackGroups
from mprd.system.csr import entry_rows


@dataclass(frozen=True)
class Sides:
    """The side that each row shows.

    Attributes:
        of: int64 (G,), -1 unknown.
    """

    of: np.ndarray

    @classmethod
    def of_tracks(cls, sides: np.ndarray, tracks: TrackGroups) -> "Sides":
        """Return the sides of tracks; a track that shows several counts as unknown.

        Args:
            sides: int (N,), of images, -1 unknown.
            tracks: of the images.
        """
        known = np.flatnonzero(sides >= 0)
        count = len(tracks.first)
        low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, np.int64)
        np.minimum.at(low, tracks.group[known], sides[known])
        np.maximum.at(high, tracks.group[known], sides[known])
        return cls(np.where(low == high, high, -1))

    @property
    def several(self) -> bool:
        """Whether two sides are known."""
        return len(np.unique(self.of[self.of >= 0])) > 1

    def apart(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return which pairs of rows show two known sides, bool (n,)."""
        one, other = self.of[some], self.of[others]
        return (one >= 0) & (other >= 0) & (one != other)

    def allowed(self, pairs: csr_array) -> np.ndarray:
        """Return which stored pairs (G, G) may share a cluster, bool (nnz,)."""
        return ~self.apart(entry_rows(pairs.indptr), pairs.indices)

    def between(self, pairs: csr_array) -> csr_array:
        """Return the stored pairs (G, G) that may share a cluster; their order stays."""
        return within(pairs, self.allowed(pairs)) if self.several else pairs

    def pairs_inside(self, cluster: np.ndarray) -> int:
        """Return how many pairs inside clusters do not show two sides.

        Args:
            cluster: int (G,), from 0.
        """
        told = self.of >= 0
        blocks = np.stack([cluster[told], self.of[told]])
        of_side = np.unique(blocks, axis=1, return_counts=True)[1].astype(np.int64)
        known, sizes = np.bincount(cluster[told], minlength=1), np.bincount(cluster, minlength=1)
        every = int((sizes * (sizes - 1) // 2).sum())
        return every - int((known**2).sum() - (of_side**2).sum()) // 2

    def part(self, labels: np.ndarray, relation: csr_array, sizes: np.ndarray) -> np.ndarray:
        """Return labels in which no cluster shows two sides.

        Rows of unknown side in a parted cluster go with the side to which their mean relation is
        highest, of equals the first. An image that is left by itself is an outlier.

        Args:
            labels: int (G,), -1 outlier.
            relation: (G, G), how near two rows are; pairs that are not stored: 0.
            sizes: int (G,), images that each row stands for.
        """
        mixed = self._mixed(labels)
        if not len(mixed):
            return labels
        result, following = labels.astype(np.int64), int(labels.max(initial=-1)) + 1
        for cluster in mixed.tolist():
            rows = np.flatnonzero(labels == cluster)
            known = np.unique(self.of[rows][self.of[rows] >= 0])
            among = relation[rows][:, rows]
            near = [among[:, self.of[rows] == side].mean(axis=1) for side in known.tolist()]
            part = np.argmax(np.stack([np.asarray(one).ravel() for one in near]), axis=0)
            told = self.of[rows] >= 0
            part[told] = np.searchsorted(known, self.of[rows][told])
            result[rows] = following + part
            following += len(known)
        inside = result >= 0
        found = np.full(len(labels), -1, np.int32)
        found[inside] = number_clusters(result[inside], 2, sizes[inside])
        return found

    def _mixed(self, labels: np.ndarray) -> np.ndarray:
        """Return the clusters that show two sides, ascending."""
        told = (labels >= 0) & (self.of >= 0)
        pairs = np.unique(np.stack([labels[told], self.of[told]]), axis=1)
        cluster, count = np.unique(pairs[0], return_counts=True)
        return cluster[count > 1]
