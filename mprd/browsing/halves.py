"""A cluster in two: as average linkage joined it last."""

import numpy as np

from mprd.artifacts.tree_arrays import TREE
from mprd.browsing.run import Run
from mprd.clustering.linkage import LinkageTree, linkage_tree
from mprd.clustering.stored_tree import stored_tree


def halves(run: Run, members: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the two parts of a cluster, the larger first; None: it is one track.

    The stored merge tree decides where there is one and it holds the images together; otherwise
    average linkage of the images does. Where no stored pair leads from one part to the rest, the
    largest part is one half.

    Args:
        run: the run.
        members: rows of the cluster, ascending.
    """
    groups = np.unique(run.tracks.group[members])
    if len(groups) < 2:
        return None
    side = None
    tree = stored_tree(run.clusters) if set(TREE) <= set(run.clusters.arrays) else None
    if tree is not None and members[-1] < len(tree.group):  # it knows no added images
        side = _last_join(tree, np.unique(tree.group[members]))
        side = side if side is None else np.isin(tree.group[members], side)
    if side is None:
        tree = linkage_tree(run.distance[groups][:, groups])
        joined = _last_join(tree, np.arange(len(groups)))
        chosen = groups[_largest(tree) if joined is None else joined]
        side = np.isin(run.tracks.group[members], chosen)
    one, other = members[side], members[~side]
    return (one, other) if len(one) >= len(other) else (other, one)


def _last_join(tree: LinkageTree, wanted: np.ndarray) -> np.ndarray | None:
    """Return the wanted groups on one side of the merge that makes them whole; None: none does."""
    count = int(tree.group.max()) + 1
    inside: dict[int, list[int]] = {int(group): [int(group)] for group in wanted}
    for step, (one, other) in enumerate(tree.merges.tolist()):
        first, second = inside.pop(one, []), inside.pop(other, [])
        if len(first) + len(second) == len(wanted) and first and second:
            return np.array(first)
        if first or second:
            inside[count + step] = first + second
    return None


def _largest(tree: LinkageTree) -> np.ndarray:
    """Return the rows of the largest part of a tree that does not join all."""
    parts = tree.cut(1.0)
    return np.flatnonzero(parts == np.argmax(np.bincount(parts)))
