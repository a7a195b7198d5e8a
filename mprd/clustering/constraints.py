"""What a person said holds in the clusters: pairs that are one identity, and pairs that are not.

What follows from the answers holds, too: if a and b are the same, and b and c are not, then a and c
are not. Clusters that no answer contradicts stay as they are.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from mprd.clustering.numbering import number_clusters, with_single_clusters


class ContradictionError(ValueError):
    """Two answers exclude each other.

    Attributes:
        chain: rows; the first and the last are said to be different, and each is said to be the
            same as the next.
    """

    def __init__(self, chain: list[int]) -> None:
        super().__init__(f"rows {chain[0]} and {chain[-1]} are said to be the same and different")
        self.chain = chain


@dataclass(frozen=True)
class Constraints:
    """Answers, and what follows from them.

    Attributes:
        group: int64 (N,): images of one group are one identity.
        apart: int64 (C, 2): groups that are different identities.
    """

    group: np.ndarray
    apart: np.ndarray

    @classmethod
    def of_answers(cls, count: int, pairs: np.ndarray, same: np.ndarray) -> "Constraints":
        """Draw the consequences of answers.

        Args:
            count: number of images, N.
            pairs: int (p, 2), rows.
            same: bool (p,).

        Raises:
            ContradictionError: the answers exclude each other.
        """
        pairs, same = np.asarray(pairs, np.int64).reshape(-1, 2), np.asarray(same, bool)
        links = pairs[same]
        graph = coo_array((np.ones(len(links)), links.T), shape=(count, count)).tocsr()
        _, group = connected_components(graph, directed=False)
        ends = group[pairs[~same]]
        wrong = np.flatnonzero(ends[:, 0] == ends[:, 1])
        if len(wrong):
            first, last = pairs[~same][wrong[0]].tolist()
            raise ContradictionError(_chain(links, first, last))
        apart = np.unique(np.sort(ends, axis=1), axis=0).reshape(-1, 2)
        return cls(group.astype(np.int64), apart.astype(np.int64))


def constrain(
    labels: np.ndarray,
    relation: csr_array,
    constraints: Constraints,
    sizes: np.ndarray | None = None,
) -> np.ndarray:
    """Return labels in which the constraints hold.

    Clusters that share an identity are joined whole. A cluster that holds two identities is parted:
    groups of images that may be together stay so, the nearest first; every other image goes with
    the part to which its mean relation is highest. An image that is left alone is an outlier.

    Args:
        labels: int (N,), -1 outlier.
        relation: (N, N), symmetric, how near two images are; pairs that are not stored: 0.
        constraints: what must hold.
        sizes: int (N,), images that each row stands for; None: one each.

    Returns:
        int32 (N,), numbered by the first member, -1 outlier.
    """
    group = constraints.group
    linked = np.bincount(group)[group] > 1
    cluster = with_single_clusters(labels)
    joined = _joined(cluster, group[linked], cluster[linked])
    outside = (labels < 0) & ~linked
    hostile: dict[int, set[int]] = {}
    for a, b in constraints.apart.tolist():
        hostile.setdefault(a, set()).add(b)
        hostile.setdefault(b, set()).add(a)
    result = joined.copy()
    fresh = int(joined.max(initial=0)) + 1
    named = np.flatnonzero(linked | np.isin(group, list(hostile)))
    for whole in np.unique(joined[named]).tolist():
        members = np.flatnonzero(joined == whole)
        inside = set(group[members].tolist())
        if any(hostile.get(one, set()) & inside for one in inside):
            parts = _part(members, cluster, group, hostile, linked, relation)
            result[members] = fresh + parts
            fresh += int(parts.max()) + 1
    result[outside] = fresh + np.arange(int(outside.sum()))
    return number_clusters(result, min_size=2, sizes=sizes)


def _joined(cluster: np.ndarray, group: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return clusters, those that share a group as one.

    Args:
        cluster: int (N,), each outlier a cluster of its own.
        group: int (m,), of the images that are linked.
        of: int (m,), their clusters.
    """
    count = int(cluster.max(initial=-1)) + 1
    if not len(group):
        return cluster.copy()
    span = int(group.max()) + 1
    edges = np.stack([of, count + group])
    graph = coo_array((np.ones(len(group)), edges), shape=(count + span, count + span)).tocsr()
    _, component = connected_components(graph, directed=False)
    return component[cluster].astype(np.int64)


def _part(
    members: np.ndarray,
    cluster: np.ndarray,
    group: np.ndarray,
    hostile: dict[int, set[int]],
    linked: np.ndarray,
    relation: csr_array,
) -> np.ndarray:
    """Return the part of each member, 0..P-1, so that no part holds two identities."""
    near = relation[members][:, members].toarray()
    np.fill_diagonal(near, 0)
    own, origin = group[members], cluster[members]
    answered = linked[members] | np.array([bool(hostile.get(g)) for g in own.tolist()])
    groups, node = np.unique(own[answered], return_inverse=True)
    part = np.full(len(members), -1)
    part[answered] = _merged(
        groups, node, near[np.ix_(answered, answered)], origin[answered], hostile
    )[node]
    while (part < 0).any():  # the others, those nearest to a part first
        sizes = np.bincount(part[part >= 0])
        sums = np.zeros((len(members), len(sizes)))
        np.add.at(sums.T, part[part >= 0], near[part >= 0])
        mean = np.where((part < 0)[:, None], sums / np.maximum(sizes, 1), -1)
        reached = (part < 0) & (mean.max(axis=1) > 0)
        if not reached.any():
            break
        part[reached] = mean[reached].argmax(axis=1)
    # Images that are near to no part stay with the rest of their cluster.
    rest = part < 0
    part[rest] = int(part.max()) + 1 + np.unique(origin[rest], return_inverse=True)[1]
    return np.unique(part, return_inverse=True)[1]


def _merged(
    groups: np.ndarray,
    node: np.ndarray,
    near: np.ndarray,
    origin: np.ndarray,
    hostile: dict[int, set[int]],
) -> np.ndarray:
    """Return the part of each group: those that may be together, joined nearest first.

    Groups of one former cluster come before others, which are joined if they are near at all.
    """
    count = len(groups)
    one_hot = np.eye(count)[node]
    sizes = one_hot.sum(axis=0)
    mean = one_hot.T @ near @ one_hot / np.outer(sizes, sizes)
    former = one_hot.T @ (origin[:, None] == np.unique(origin)) > 0
    mates = (former.astype(int) @ former.T.astype(int)) > 0
    first, second = np.triu_indices(count, 1)
    wanted = mates[first, second] | (mean[first, second] > 0)
    first, second = first[wanted], second[wanted]
    order = np.lexsort((-mean[first, second], ~mates[first, second]))
    part = np.arange(count)
    enemies = [hostile.get(g, set()) for g in groups.tolist()]
    holds = [{g} for g in groups.tolist()]
    for a, b in zip(first[order].tolist(), second[order].tolist(), strict=True):
        one, other = int(part[a]), int(part[b])
        if one != other and not (enemies[one] & holds[other]):
            holds[one] = holds[one] | holds[other]
            enemies[one] = enemies[one] | enemies[other]
            part[part == other] = one
    return np.unique(part, return_inverse=True)[1]


def _chain(links: np.ndarray, first: int, last: int) -> list[int]:
    """Return the shortest chain of links between two rows."""
    next_to: dict[int, list[int]] = {}
    for a, b in links.tolist():
        next_to.setdefault(a, []).append(b)
        next_to.setdefault(b, []).append(a)
    came, waiting = {first: first}, deque([first])
    while last not in came:
        row = waiting.popleft()
        for other in next_to[row]:
            if other not in came:
                came[other] = row
                waiting.append(other)
    chain = [last]
    while chain[-1] != first:
        chain.append(came[chain[-1]])
    return chain[::-1]
