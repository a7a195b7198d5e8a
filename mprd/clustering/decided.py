"""Clusters in which a person's decisions hold, and the numbers that they keep."""

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from mprd.clustering.constraints import Constraints, constrain
from mprd.clustering.numbering import keep_numbers, number_clusters, with_single_clusters

if TYPE_CHECKING:  # slow to load
    from mprd.clustering.linkage import LinkageTree


def decided_cut(
    tree: "LinkageTree",
    threshold: float,
    min_size: int,
    constraints: Constraints,
    sizes: np.ndarray,
    alone: np.ndarray,
) -> np.ndarray:
    """Return the clusters of a tree that was made under constraints.

    The tree joins no clusters that are different identities; here those that are one are joined
    whole. So a yes to two images joins all images of both clusters, and a no parts all of them.

    Args:
        tree: of `linkage_tree` with the constraints; its rows are theirs.
        threshold: largest mean distance of two clusters that are joined.
        min_size: images of a smaller cluster are outliers, unless it was decided.
        constraints: of the rows.
        sizes: int (G,), images that each row stands for.
        alone: bool (G,), rows that are a cluster even if they are alone: named or confirmed ones.

    Returns:
        int32 (G,), numbered by the first row, -1 outlier.
    """
    joined = join_groups(tree.cut(threshold), constraints.group)
    whole = np.bincount(joined, sizes)
    linked = np.bincount(constraints.group)[constraints.group] > 1
    decided = np.isin(joined, joined[linked | alone])
    kept = decided | (whole[joined] >= min_size)
    return number_clusters(joined, 1, None) if kept.all() else _only(joined, kept)


def constrained(
    labels: np.ndarray,
    relation: csr_array,
    constraints: Constraints,
    sizes: np.ndarray,
    alone: np.ndarray,
) -> np.ndarray:
    """Return labels of any clustering in which the constraints hold, as `constrain`.

    Args:
        labels: int (G,), -1 outlier.
        relation: (G, G), how near two rows are.
        constraints: of the rows.
        sizes: int (G,), images that each row stands for.
        alone: bool (G,), rows that are a cluster even if they are alone.
    """
    found = constrain(labels, relation, constraints, sizes)
    single = with_single_clusters(found)
    return _only(single, (found >= 0) | np.isin(single, single[alone]))


def join_groups(cluster: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return clusters, those that share a group as one.

    Args:
        cluster: int (N,), from 0.
        group: int (N,), from 0.
    """
    count, span = int(cluster.max(initial=-1)) + 1, int(group.max(initial=-1)) + 1
    edges = cluster, count + group
    graph = coo_array((np.ones(len(group)), edges), shape=(count + span, count + span)).tocsr()
    return connected_components(graph, directed=False)[1][cluster]


def go_on(
    labels: np.ndarray, shown: np.ndarray, base: np.ndarray, following: int = 0
) -> np.ndarray:
    """Return a number for each cluster: that which a person knows it by, as far as it goes on.

    Args:
        labels: int (N,), -1 outlier.
        shown: int (N,), numbers that were shown last, with the decisions since; -1 outlier.
        base: int (N,), numbers without any decision. A cluster that a decision had taken away, and
            that is back, has its old one.
        following: least number of a new cluster.

    Returns:
        int32 (K,), all different.
    """
    following = max(following, int(max(shown.max(initial=-1), base.max(initial=-1))) + 1)
    number = keep_numbers(labels, shown, following)
    new = np.flatnonzero(number >= following)
    if not len(new):
        return number
    place = np.full(len(number) + 1, -1)
    place[new] = np.arange(len(new))
    free = np.where(np.isin(base, number), -1, base)
    number[new] = keep_numbers(place[labels], free, following)
    return number


def names_of(labels: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return the name of each cluster: that of most of its images.

    Of two clusters with one name the one that has more such images keeps it.

    Args:
        labels: int (N,), -1 outlier.
        names: object (N,), of the identity of each image, "" unknown.

    Returns:
        object (K,), "" without a name.
    """
    result = np.full(int(labels.max(initial=-1)) + 1, "", object)
    named = np.flatnonzero((names != "") & (labels >= 0))
    votes: dict[tuple[int, str], int] = {}
    for row in named.tolist():
        key = int(labels[row]), str(names[row])
        votes[key] = votes.get(key, 0) + 1
    taken = set()
    for label, name in sorted(votes, key=lambda key: -votes[key]):
        if not result[label] and name not in taken:
            result[label] = name
            taken.add(name)
    return result


def _only(cluster: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return clusters of the rows that are kept, numbered by the first row; -1 the others."""
    result = np.full(len(cluster), -1, np.int32)
    result[kept] = number_clusters(cluster[kept], 1)
    return result
