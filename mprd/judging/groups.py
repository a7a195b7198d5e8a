"""The groups of images that a question can be about: halves of clusters, and pairs of clusters."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array

from mprd.clustering.constraints import Constraints
from mprd.clustering.linkage import linkage_tree
from mprd.system.csr import entry_rows


class Answers(NamedTuple):
    """Pairs that a person judged.

    Attributes:
        pairs: int (n, 2), rows.
        same: bool (n,).
    """

    pairs: np.ndarray
    same: np.ndarray


@dataclass(frozen=True)
class Groups:
    """Two groups of rows that a question can be about.

    Attributes:
        distance: mean distance.
        log: logarithm of n1 x n2 images.
        joined: the clusters have them together.
        doubtful: average linkage by itself does not join them.
        yes: answers by which they are one identity.
        no: answers by which they are not.
        sides: returns the rows of both.
    """

    distance: float
    log: float
    joined: bool
    doubtful: bool
    yes: int
    no: int
    sides: Callable[[], tuple[np.ndarray, np.ndarray]]


class Known:
    """What answers say of rows."""

    def __init__(self, constraints: Constraints, answers: Answers) -> None:
        self.constraints, self._answers = constraints, answers
        self.pairs = {kind: answers.pairs[answers.same == kind].tolist() for kind in (True, False)}

    def used(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the rows of answered pairs between two groups."""
        pairs = self._answers.pairs
        if not len(pairs):
            return np.empty(0, np.int64)
        ends = np.isin(pairs, one), np.isin(pairs, other)
        between = (ends[0][:, 0] & ends[1][:, 1]) | (ends[0][:, 1] & ends[1][:, 0])
        return pairs[between].ravel()


class _Tree:
    """The nodes of a merge tree: rows first, then what each step made."""

    def __init__(self, merges: np.ndarray, count: int) -> None:
        self.merges, self.count = merges, count
        self.parent = np.full(count + len(merges), -1)
        self.parent[merges.ravel()] = np.repeat(count + np.arange(len(merges)), 2)

    def rows(self, node: int) -> np.ndarray:
        """Return the rows of a node."""
        found, waiting = [], [node]
        while waiting:
            one = waiting.pop()
            if one < self.count:
                found.append(one)
            else:
                waiting += self.merges[one - self.count].tolist()
        return np.array(sorted(found))

    def meet(self, one: int, other: int) -> tuple[int, int]:
        """Return the nodes in which two rows are before a step joins them, or at the end."""
        way = {one: one}
        while (above := int(self.parent[one])) != -1:
            way[above] = one
            one = above
        below = other
        while other not in way and self.parent[other] != -1:
            below, other = other, int(self.parent[other])
        return (way[other], below) if other in way else (one, other)


def halves(
    cluster: np.ndarray, relation: csr_array, known: Known, images: np.ndarray
) -> Iterator[Groups]:
    """Yield the halves of each cluster, and of each half, and what only an answer joins."""
    row, column = entry_rows(relation.indptr), relation.indices
    inside = (cluster[row] == cluster[column]) & (row != column)
    data = 1 - relation.data[inside]
    near = coo_array((data, (row[inside], column[inside])), shape=relation.shape).tocsr()
    tree = linkage_tree(near, constraints=known.constraints)
    count, group = len(cluster), known.constraints.group
    nodes = _Tree(tree.merges, count)
    yes: dict[tuple[int, int], int] = {}
    for one, other in known.pairs[True]:
        ends = sorted(nodes.meet(one, other))
        yes[ends[0], ends[1]] = yes.get((ends[0], ends[1]), 0) + 1
    linked = np.flatnonzero(np.bincount(group)[group] > 1)
    holds: dict[int, set[int]] = {one: {int(group[one])} for one in linked.tolist()}
    heights = {}
    for step, (one, other) in enumerate(tree.merges.tolist()):
        first, second = holds.get(one, set()), holds.get(other, set())
        if first or second:
            holds[count + step] = first | second
        if not first & second or (one, other) in yes:
            heights[one, other] = float(tree.heights[step])
    size = np.concatenate([images, np.zeros(len(tree.merges))])
    for step, (one, other) in enumerate(tree.merges.tolist()):
        size[count + step] = size[one] + size[other]
    for one, other in {**heights, **yes}:
        said = yes.get((one, other), 0)
        yield Groups(
            distance=heights.get((one, other), 1.0),
            log=float(np.log(size[one] * size[other])),
            joined=True,
            doubtful=said > 0,
            yes=said,
            no=0,
            sides=lambda one=one, other=other: (nodes.rows(one), nodes.rows(other)),  # type: ignore[misc]
        )


def pairs_of_clusters(
    cluster: np.ndarray, relation: csr_array, known: Known, images: np.ndarray
) -> Iterator[Groups]:
    """Yield the pairs of clusters with a stored pair between them that may be one identity."""
    row, column = entry_rows(relation.indptr), relation.indices
    size, members = np.bincount(cluster, images), _members(cluster)
    between = cluster[row] < cluster[column]
    where = cluster[row[between]], cluster[column[between]]
    weight = relation.data[between] * images[row[between]] * images[column[between]]
    total = coo_array((weight, where), shape=(len(size), len(size))).tocsr().tocoo()
    group, apart = known.constraints.group, known.constraints.apart
    _, first = np.unique(group, return_index=True)
    place = dict(zip(group[first].tolist(), cluster[first].tolist(), strict=True))
    foes = {tuple(sorted((place[a], place[b]))) for a, b in apart.tolist()}
    no: dict[tuple[int, ...], int] = {}
    for a, b in known.pairs[False]:
        ends = tuple(sorted((int(cluster[a]), int(cluster[b]))))
        no[ends] = no.get(ends, 0) + 1
    found = zip(
        total.coords[0].tolist(), total.coords[1].tolist(), total.data.tolist(), strict=True
    )
    for one, other, near in found:
        said = no.get((one, other), 0)
        if said or (one, other) not in foes:
            most = size[one] * size[other]
            yield Groups(
                distance=1 - near / most,
                log=float(np.log(most)),
                joined=False,
                doubtful=True,
                yes=0,
                no=said,
                sides=lambda one=one, other=other: (members[one], members[other]),  # type: ignore[misc]
            )


def _members(cluster: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each cluster."""
    order = np.argsort(cluster, kind="stable")
    return np.split(order, np.cumsum(np.bincount(cluster))[:-1])
