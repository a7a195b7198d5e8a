"""What a `clusters.h5` says about its merge tree."""

from typing import Any

import h5py


def tree_facts(file: h5py.File) -> dict[str, Any]:
    """Return how many merges the tree has, and up to where; nothing without a tree.

    Args:
        file: an open `clusters.h5`.
    """
    if "tree_heights" not in file:
        return {}
    heights = file["tree_heights"][:]
    last = f", up to a mean distance of {heights[-1]:.3f}" if len(heights) else ""
    return {"tree": f"{len(heights):,} merges{last}; mprd recluster cuts it elsewhere"}
