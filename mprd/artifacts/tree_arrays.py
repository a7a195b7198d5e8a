"""The data sets of a merge tree, which `clusters.h5` holds with `cluster.method: linkage`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mprd.artifacts.declaration import Array

TREE = {
    "tree_merges": Array(
        "int32",
        ("M", 2),
        "linkage: the two clusters that each step joins. 0, 1, ... are the groups of `tree_group`; "
        "what a step makes gets the next number",
        minimum=0,
        optional=True,
    ),
    "tree_heights": Array(
        "float64",
        ("M",),
        "linkage: mean distance of the two clusters, ascending. A cut at a threshold makes all "
        "steps up to it",
        minimum=0,
        maximum=1,
        optional=True,
    ),
    "tree_group": Array(
        "int32",
        ("N",),
        "linkage: group of images that begin as one cluster. The whole tree takes at most 20 bytes "
        "an image",
        minimum=0,
        below="N",
        optional=True,
    ),
}


def tree_fault(file: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the merge tree of a file; None: nothing, or there is none."""
    there = [key in file for key in TREE]
    if not all(there):
        return f"of {', '.join(TREE)} some are missing" if any(there) else None
    merges, heights, group = (file[key][:] for key in TREE)
    _, first = np.unique(group, return_index=True)
    groups, steps = len(first), np.arange(len(merges))
    if (np.diff(first) <= 0).any() or group.max(initial=-1) + 1 != groups:
        return "tree_group is not numbered by the first image of each group"
    if (np.diff(heights) < 0).any():
        return "tree_heights do not ascend"
    ordered = (merges[:, 0] < merges[:, 1]) & (merges[:, 1] < groups + steps)
    if not ordered.all() or len(np.unique(merges)) != merges.size:
        return "tree_merges joins a cluster twice, or before it is made"
    return None
