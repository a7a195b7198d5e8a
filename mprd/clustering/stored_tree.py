"""The merge tree of a `clusters.h5`."""

from typing import TYPE_CHECKING

import numpy as np

from mprd.artifacts import Artifact
from mprd.artifacts.tree_arrays import TREE, tree_fault
from mprd.errors import UserError, how_to_fix

if TYPE_CHECKING:  # slow to load
    from mprd.clustering.linkage import LinkageTree


def tree_arrays(tree: "LinkageTree") -> dict[str, np.ndarray]:
    """Return a tree as data sets of `clusters.h5`."""
    values = tree.merges, tree.heights, tree.group.astype(np.int32)
    return dict(zip(TREE, values, strict=True))


def stored_tree(clusters: Artifact) -> "LinkageTree":
    """Return the tree that a `clusters.h5` holds.

    Raises:
        UserError: it holds none, or one that cannot be.
    """
    from mprd.clustering.linkage import LinkageTree

    if not set(TREE) & set(clusters.arrays):
        raise UserError(
            f"{clusters.path} holds no merge tree: it was made by another cluster.method, or by an "
            "older mprd. Set cluster.method to linkage and run `mprd run` again."
        )
    if fault := tree_fault(clusters.arrays):
        raise UserError(
            f"{clusters.path}: {fault}. {how_to_fix(clusters.path, clusters.schema.command)}"
        )
    merges, heights, group = (clusters[key] for key in TREE)
    return LinkageTree(merges, heights, group.astype(np.int64))
