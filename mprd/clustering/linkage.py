"""Average linkage on a sparse distance graph: pairs that are not stored have distance 1.

DBSCAN and single linkage join two identities by one wrong pair. Average linkage (UPGMA: Sokal and
Michener, 1958) joins two clusters by the mean distance of all pairs between them, so it can use
larger distances without running together.

In terms of s = 1 - d a pair that is not stored adds nothing: with S_ab the sum of s over the stored
pairs between clusters a and b, their distance is 1 - S_ab / (|a| |b|), and S of a merged cluster is
the sum of S of its parts. So clusters keep lists of their neighbours, and nothing of size N x N is
ever made. The greedy order comes from a heap that holds the nearest neighbour of each cluster; a
merge never brings clusters closer (reducibility), so what the heap holds is a lower bound and is
looked at again only when it comes first (Mullner: Modern hierarchical, agglomerative clustering
algorithms, arXiv:1109.2378, section 3.1).
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from mprd.clustering.constraints import Constraints
from mprd.clustering.kin import find, hostile, join_kin, kin_of
from mprd.clustering.numbering import number_clusters
from mprd.clustering.sides import Sides
from mprd.clustering.tracks import TrackGroups
from mprd.config import ClusterConfig
from mprd.system.checks import check_distances, check_integers


@dataclass(frozen=True)
class LinkageTree:
    """The merges of average linkage; any cut of them is instant.

    Attributes:
        merges: int32 (M, 2), the clusters that each step joins, the smaller number first. 0..G-1
            are the groups of rows that begin as one cluster, G + m is what step m made.
        heights: float64 (M,), their mean distance, ascending.
        group: int64 (N,), the group of each row, 0..G-1.
    """

    merges: np.ndarray
    heights: np.ndarray
    group: np.ndarray

    def cut(self, threshold: float, min_size: int = 1) -> np.ndarray:
        """Return the clusters after all merges up to a mean distance.

        Args:
            threshold: largest mean distance of two clusters that are joined.
            min_size: rows of a smaller cluster are outliers.

        Returns:
            int32 (N,), numbered by the first member, -1 for outliers.
        """
        steps = int(np.searchsorted(self.heights, threshold, side="right"))
        groups = int(self.group.max(initial=-1)) + 1
        made = groups + np.arange(steps)
        ends = self.merges[:steps].astype(np.int64)
        edges = np.concatenate([ends[:, 0], ends[:, 1]]), np.concatenate([made, made])
        nodes = groups + steps
        joined = coo_array((np.ones(2 * steps, np.bool_), edges), (nodes, nodes))
        _, component = connected_components(joined.tocsr(), directed=False)
        return number_clusters(component[self.group], min_size)


def cluster_by_linkage(distance: csr_array, settings: ClusterConfig) -> np.ndarray:
    """Return the clusters of average linkage with the settings' threshold and min_size."""
    return linkage(distance, settings.threshold, settings.min_size)


def linkage(distance: csr_array, threshold: float, min_size: int = 1) -> np.ndarray:
    """Return the clusters of average linkage.

    The same partitions as cutting `scipy.cluster.hierarchy.linkage(..., "average")` of the dense
    matrix, in which a pair that is not stored has distance 1.

    Args:
        distance: (N, N), symmetric, in [0, 1]; the diagonal does not count.
        threshold: largest mean distance of two clusters that are joined, in [0, 1).
        min_size: rows of a smaller cluster are outliers.

    Returns:
        int32 (N,), numbered by the first member, -1 for outliers.

    Raises:
        ValueError: no square CSR matrix of distances up to 1, or a parameter is out of range.

    Example:
        >>> two = csr_array(np.array([[0, 0.2, 0], [0.2, 0, 0.9], [0, 0.9, 0]]))
        >>> linkage(two, 0.5).tolist()
        [0, 0, 1]
    """
    if not 0 <= threshold < 1 or min_size < 1:
        raise ValueError(
            f"threshold must be at least 0 and below 1, min_size at least 1, not {threshold} and "
            f"{min_size}."
        )
    return linkage_tree(distance, threshold).cut(threshold, min_size)


def linkage_tree(
    distance: csr_array,
    highest: float = 1.0,
    group: np.ndarray | None = None,
    constraints: Constraints | None = None,
    sides: np.ndarray | None = None,
) -> LinkageTree:
    """Return the merges of average linkage up to a mean distance.

    Of pairs at equal mean distance the one with the smallest number goes first, then the one whose
    other number is smallest; what a merge makes has a larger number than all clusters before it.

    Args:
        distance: (N, N), symmetric, in [0, 1]; a pair that is not stored has distance 1, and the
            diagonal does not count.
        highest: merges above this mean distance are not made; clusters at distance 1 never are.
        group: int (N,): rows of one group begin as one cluster; None: each row by itself. Groups
            are numbered by their first row.
        constraints: of the rows. Clusters that are different identities are not joined, nor those
            that are one identity with such; joining what is one identity is left to the caller.
        sides: int (N,), the side of an animal that each row shows, -1 unknown: clusters that show
            two sides are not joined. A group that shows several counts as unknown. None: all are.

    Raises:
        ValueError: no square CSR matrix of distances up to 1, or groups or sides of another length.
    """
    distance = check_distances(distance)
    if distance.nnz and distance.data.max() > 1:
        raise ValueError(f"distance holds {distance.data.max()}; average linkage needs at most 1.")
    count = distance.shape[0]
    if group is None:
        group = np.arange(count)
    else:
        group = number_clusters(check_integers(group, count, "group"), 1).astype(np.int64)
    sizes = np.bincount(group, minlength=1).astype(np.int64)
    between = _between(distance, group, len(sizes))
    floor = max(1 - highest, 0.0)
    kin = kin_of(group, constraints)
    shown = np.full(len(sizes), -1, np.int64)
    if sides is not None:
        told = check_integers(sides, count, "sides")
        shown = Sides.of_tracks(told, TrackGroups.of_tracks(group)).of
    csr = between.indptr, between.indices, between.data
    merges, heights = _merge(*csr, sizes, shown, floor, *kin)
    return LinkageTree(merges, heights, group)


def _between(distance: csr_array, group: np.ndarray, groups: int) -> csr_array:
    """Return the sums of 1 - distance between groups, float64 (G, G), without the diagonal."""
    rows = np.repeat(group, np.diff(distance.indptr))
    columns = group[distance.indices]
    apart = (rows != columns) & (distance.data < 1)
    sums = 1 - distance.data[apart].astype(np.float64)
    indices = columns[apart].astype(np.int32)
    if groups == len(group):  # no two rows share a group
        indptr = np.concatenate([[0], np.cumsum(apart)])[distance.indptr]
        return csr_array((sums, indices, indptr), shape=(groups, groups))
    pairs = rows[apart].astype(np.int32), indices
    return coo_array((sums, pairs), shape=(groups, groups)).tocsr()


@njit(nogil=True, cache=True)
def _nearest(
    slot: int,
    head: np.ndarray,
    following: np.ndarray,
    neighbor: np.ndarray,
    total: np.ndarray,
    parent: np.ndarray,
    sizes: np.ndarray,
    label: np.ndarray,
    place: np.ndarray,
) -> tuple[int, float, int]:
    """Return the nearest cluster of one, its mean similarity, and the last entry of its list.

    The list comes out with one entry per neighbour. `place` is -1 before and after.
    """
    entry, kept = head[slot], -1
    while entry != -1:
        after, other = following[entry], find(parent, neighbor[entry])
        if other == slot or place[other] != -1:  # inside by now, or there twice
            if other != slot:
                total[place[other]] += total[entry]
            if kept == -1:
                head[slot] = after
            else:
                following[kept] = after
        else:
            neighbor[entry], place[other], kept = other, entry, entry
        entry = after
    best, most, entry = -1, 0.0, head[slot]
    while entry != -1:
        other = neighbor[entry]
        place[other] = -1
        mean = total[entry] / (sizes[slot] * sizes[other])
        if mean > most or (mean == most and best != -1 and label[other] < label[best]):
            best, most = other, mean
        entry = following[entry]
    return best, most, kept


@njit(nogil=True, cache=True)
def _part(
    slot: int,
    other: int,
    head: np.ndarray,
    following: np.ndarray,
    neighbor: np.ndarray,
    total: np.ndarray,
    parent: np.ndarray,
) -> None:
    """Make a neighbour of a cluster so unlike it that no merge brings the two together."""
    entry = head[slot]
    while entry != -1:
        if find(parent, neighbor[entry]) == other:
            total[entry] = -np.inf
        entry = following[entry]


@njit(nogil=True, cache=True)
def _merge(
    indptr: np.ndarray,
    indices: np.ndarray,
    sums: np.ndarray,
    start_sizes: np.ndarray,
    shown: np.ndarray,
    floor: float,
    kin: np.ndarray,
    first_foe: np.ndarray,
    next_foe: np.ndarray,
    foe: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Join the most similar clusters until none are more similar than `floor`, or as similar.

    Args:
        indptr, indices, sums: CSR (G, G), sums of similarities between the first clusters.
        start_sizes: int64 (G,).
        shown: int64 (G,), side, -1 unknown.
        floor: least mean similarity; 0 joins all that have any.
        kin, first_foe, next_foe, foe: of `kin_of`.

    Returns:
        merges int32 (M, 2), heights float64 (M,).
    """
    count = len(start_sizes)
    # The neighbours of a cluster are a linked list, so that two are joined at once. An entry names
    # the slot that the neighbour had when it was written.
    neighbor, total = indices.astype(np.int32), sums.copy()
    following = np.arange(1, len(indices) + 1).astype(np.int32)
    head, tail = np.full(count, -1, np.int32), np.full(count, -1, np.int32)
    for slot in range(count):
        if indptr[slot] < indptr[slot + 1]:
            head[slot], tail[slot] = indptr[slot], indptr[slot + 1] - 1
            following[tail[slot]] = -1
    parent, sizes, label = np.arange(count).astype(np.int32), start_sizes.copy(), np.arange(count)
    side, place = shown.copy(), np.full(count, -1, np.int32)
    best, most = np.full(count, -1, np.int32), np.zeros(count)
    best_label = np.full(count, -1, np.int64)
    lists = (head, following, neighbor, total, parent, sizes, label, place)
    heap = [(0.0, 0, 0) for _ in range(0)]  # empty; numba takes the types from it
    for slot in range(count):
        best[slot], most[slot], tail[slot] = _nearest(slot, *lists)
        if best[slot] != -1 and most[slot] >= floor:
            best_label[slot] = label[best[slot]]
            heap.append((-most[slot], label[slot], slot))
    heapq.heapify(heap)
    merges = np.empty((max(count - 1, 0), 2), np.int32)
    heights = np.empty(max(count - 1, 0))
    step = 0
    while heap:
        similarity, number, slot = heapq.heappop(heap)
        if label[slot] != number or -similarity != most[slot]:
            continue  # another entry has taken the place of this one
        other = best[slot]
        parted = side[slot] >= 0 and side[other] >= 0 and side[slot] != side[other]
        parted = parted or hostile(slot, other, kin, first_foe, next_foe, foe)
        if label[other] == best_label[slot] and parted:
            _part(slot, other, head, following, neighbor, total, parent)
        elif label[other] == best_label[slot]:
            join_kin(slot, other, kin, first_foe, next_foe)
            merges[step, 0] = min(number, label[other])
            merges[step, 1] = max(number, label[other])
            heights[step] = max(1 + similarity, heights[step - 1] if step else 0.0)
            parent[other] = slot
            sizes[slot] += sizes[other]
            side[slot] = max(side[slot], side[other])
            if tail[slot] == -1:
                head[slot] = head[other]
            else:
                following[tail[slot]] = head[other]
            label[slot], label[other] = count + step, -1
            step += 1
        best[slot], most[slot], tail[slot] = _nearest(slot, *lists)
        if best[slot] != -1 and most[slot] >= floor:
            best_label[slot] = label[best[slot]]
            heapq.heappush(heap, (-most[slot], label[slot], slot))
    return merges[:step], heights[:step]
