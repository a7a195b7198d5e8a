"""Which clusters may be joined where a person said what is one identity, and what is not.

Kin are clusters that hold images of one identity, by what was said. The foes of a cluster are those
of all its kin.
"""

import numpy as np
from numba import njit

from mprd.clustering.constraints import Constraints


def kin_of(
    group: np.ndarray, constraints: Constraints | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return kin and foes of groups before any is joined.

    Args:
        group: int64 (N,), group of each row, 0..G-1.
        constraints: of the rows; None: all may be joined.

    Returns:
        kin int32 (G,), a forest: the last parent stands for a group and its kin; first_foe
        int32 (G,), next_foe int32 (F,) and foe int32 (F,): lists of foes, -1 the end. Without
        foes the last two are empty.
    """
    count = int(group.max(initial=-1)) + 1
    kin, first_foe = np.arange(count, dtype=np.int32), np.full(count, -1, np.int32)
    if constraints is None or not len(constraints.apart):
        return kin, first_foe, np.empty(0, np.int32), np.empty(0, np.int32)
    # A row for each identity, and its place among the groups.
    _, row, identity = np.unique(constraints.group, return_index=True, return_inverse=True)
    at = dict(zip(constraints.group[row].tolist(), group[row].tolist(), strict=True))
    for one, other in zip(group.tolist(), group[row][identity].tolist(), strict=True):
        kin[find(kin, other)] = find(kin, one)
    pairs = np.array([[at[a], at[b]] for a, b in constraints.apart.tolist()])
    owner, foe = np.concatenate([pairs, pairs[:, ::-1]]).T.astype(np.int32)
    next_foe = np.full(len(foe), -1, np.int32)
    for place, group_of in enumerate(owner.tolist()):
        root = find(kin, group_of)
        next_foe[place], first_foe[root] = first_foe[root], place
    return kin, first_foe, next_foe, foe


@njit(nogil=True, cache=True)
def find(parent: np.ndarray, slot: int) -> int:
    """Return the slot of the cluster that a slot has become part of; shortens the way there."""
    while parent[slot] != slot:
        parent[slot] = parent[parent[slot]]
        slot = parent[slot]
    return slot


@njit(nogil=True, cache=True)
def hostile(
    slot: int,
    other: int,
    kin: np.ndarray,
    first_foe: np.ndarray,
    next_foe: np.ndarray,
    foe: np.ndarray,
) -> bool:
    """Tell whether two clusters, or kin of theirs, are different identities."""
    if not len(foe):
        return False
    theirs = find(kin, other)
    place = first_foe[find(kin, slot)]
    while place != -1:
        if find(kin, foe[place]) == theirs:
            return True
        place = next_foe[place]
    return False


@njit(nogil=True, cache=True)
def join_kin(
    slot: int, other: int, kin: np.ndarray, first_foe: np.ndarray, next_foe: np.ndarray
) -> None:
    """Let two clusters that are joined share kin and foes."""
    if not len(next_foe):
        return
    one, two = find(kin, slot), find(kin, other)
    if one == two:
        return
    kin[two] = one
    if first_foe[one] == -1:
        first_foe[one] = first_foe[two]
        return
    place = first_foe[one]
    while next_foe[place] != -1:
        place = next_foe[place]
    next_foe[place] = first_foe[two]
