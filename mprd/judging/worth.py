"""Which pairs are worth a person's time? Those whose answer changes most pairs, as likely as it is.

Two clusters are asked about by one image of each, the one in their middle: a yes joins n1 x n2
pairs. Inside a cluster the same question goes to the two halves that average linkage joined last: a
no parts n1 x n2 pairs. So what an answer is worth is n1 x n2 times the probability that it is not
what the clusters say already. How likely two groups are one identity follows from their mean
distance, times included, by a curve that is fitted again to the answers so far.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import coo_array, csr_array

from mprd.clustering.constraints import Constraints
from mprd.clustering.linkage import linkage_tree
from mprd.clustering.numbering import with_single_clusters
from mprd.system.csr import entry_rows

# Of the curve: at the threshold, per unit of distance below it, per log of n1 x n2 of two clusters.
_PRIOR, _VARIANCE = np.array([0.0, 10.0, -0.5]), np.array([1.0, 25.0, 0.5])
_BOUNDS = ((-6, 6), (1, 40), (-3, 0))


class Question(NamedTuple):
    """A pair to judge.

    Attributes:
        a: row of one image.
        b: row of the other.
        moves: images that change their place by the answer, at least.
        joined: the clusters in use have them together.
        facts: what the curve reads of the two groups, (3,).
    """

    a: int
    b: int
    moves: int
    joined: bool
    facts: np.ndarray


@dataclass
class Curve:
    """How likely two groups are one identity, fitted to answers (logistic regression)."""

    weights: np.ndarray = field(default_factory=_PRIOR.copy)

    def probability(self, facts: np.ndarray) -> np.ndarray:
        """Return the probability of groups float (n, 3) to be one identity."""
        return 1 / (1 + np.exp(-facts @ self.weights))

    @classmethod
    def fitted(cls, facts: np.ndarray, same: np.ndarray) -> "Curve":
        """Return the curve that fits answers, and what is known without any.

        Args:
            facts: float (n, 3), of the questions.
            same: bool (n,), the answers.
        """

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            z, off = facts @ weights, weights - _PRIOR
            value = np.logaddexp(0, z).sum() - z[same].sum() + (off**2 / _VARIANCE).sum() / 2
            return value, facts.T @ (1 / (1 + np.exp(-z)) - same) + off / _VARIANCE

        found = minimize(loss, _PRIOR, jac=True, method="L-BFGS-B", bounds=_BOUNDS)
        return cls(found.x)


def worthwhile(
    labels: np.ndarray,
    relation: csr_array,
    constraints: Constraints,
    count: int,
    curve: Curve,
    threshold: float,
    sizes: np.ndarray | None = None,
) -> list[Question]:
    """Return the pairs that are most worth asking about, the most worthwhile first.

    No two of them ask about the same cluster or the same half of one, so that each counts whatever
    the answers to the others are.

    Args:
        labels: int (N,), -1 outlier: clusters in which the constraints hold.
        relation: (N, N), symmetric, how near two rows are: 1 - distance.
        constraints: what is known.
        count: most questions.
        curve: tells how likely groups are one identity.
        threshold: mean distance at which that is uncertain, before anything is answered.
        sizes: int (N,), images that each row stands for; None: one each.
    """
    cluster = with_single_clusters(labels)
    images = np.ones(len(labels)) if sizes is None else sizes.astype(float)
    both = [
        *_halves(cluster, relation, constraints, images),
        *_pairs_of_clusters(cluster, relation, constraints, images),
    ]
    facts = np.array([[1, threshold - one.distance, one.apart * one.log] for one in both])
    if not len(facts):
        return []
    likely = curve.probability(facts)
    worth = [
        (p if one.apart else 1 - p) * np.exp(one.log)
        for one, p in zip(both, likely.tolist(), strict=True)
    ]
    found: list[Question] = []
    taken: set[tuple[str, int]] = set()
    members = _members(cluster)
    for n in np.argsort(-np.array(worth), kind="stable").tolist():
        one = both[n]
        names = {("cluster", one.first), ("cluster", one.second)}
        if not one.apart:
            names = {("cluster", int(cluster[one.rows[0][0]]))}
        if len(found) == count:
            break
        if names & taken:
            continue
        taken |= names
        sides = (members[one.first], members[one.second]) if one.apart else one.rows
        a, b = (_middle(side, relation) for side in sides)
        moves = int(min(images[side].sum() for side in sides))
        found.append(Question(min(a, b), max(a, b), moves, not one.apart, facts[n]))
    return found


@dataclass(frozen=True)
class _Groups:
    """Two groups of rows that a question can be about.

    Attributes:
        distance: mean distance.
        log: logarithm of n1 x n2 images.
        apart: they are two clusters, `first` and `second`; else the halves of one, `rows`.
    """

    distance: float
    log: float
    apart: bool
    first: int = -1
    second: int = -1
    tree: "_Tree | None" = None

    @property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of two halves."""
        assert self.tree is not None
        return self.tree.rows(self.first), self.tree.rows(self.second)


@dataclass(frozen=True)
class _Tree:
    """The nodes of a merge tree: rows first, then what each step made."""

    merges: np.ndarray
    count: int

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


def _halves(
    cluster: np.ndarray, relation: csr_array, constraints: Constraints, images: np.ndarray
) -> Iterator[_Groups]:
    """Yield the halves of each cluster, and of each half, that no answer says to be one."""
    row, column = entry_rows(relation.indptr), relation.indices
    inside = (cluster[row] == cluster[column]) & (row != column)
    data = 1 - relation.data[inside]
    near = coo_array((data, (row[inside], column[inside])), shape=relation.shape).tocsr()
    tree = linkage_tree(near, constraints=constraints)
    count = len(cluster)
    size = np.concatenate([images, np.zeros(len(tree.merges))])
    linked = np.flatnonzero(np.bincount(constraints.group)[constraints.group] > 1)
    known: dict[int, set[int]] = {one: {int(constraints.group[one])} for one in linked.tolist()}
    nodes = _Tree(tree.merges, count)
    for step, (one, other) in enumerate(tree.merges.tolist()):
        size[count + step] = size[one] + size[other]
        first, second = known.get(one, set()), known.get(other, set())
        if first or second:
            known[count + step] = first | second
        if not first & second:
            log = float(np.log(size[one] * size[other]))
            yield _Groups(float(tree.heights[step]), log, False, one, other, nodes)


def _pairs_of_clusters(
    cluster: np.ndarray, relation: csr_array, constraints: Constraints, images: np.ndarray
) -> Iterator[_Groups]:
    """Yield the pairs of clusters with a stored pair between them that may be one identity."""
    row, column = entry_rows(relation.indptr), relation.indices
    size = np.bincount(cluster, images)
    between = cluster[row] < cluster[column]
    where = cluster[row[between]], cluster[column[between]]
    weight = relation.data[between] * images[row[between]] * images[column[between]]
    total = coo_array((weight, where), shape=(len(size), len(size))).tocsr().tocoo()
    _, first = np.unique(constraints.group, return_index=True)
    place = dict(zip(constraints.group[first].tolist(), cluster[first].tolist(), strict=True))
    foes = {tuple(sorted((place[a], place[b]))) for a, b in constraints.apart.tolist()}
    ends = zip(total.coords[0].tolist(), total.coords[1].tolist(), total.data.tolist(), strict=True)
    for one, other, near in ends:
        if (one, other) not in foes:
            most = size[one] * size[other]
            yield _Groups(1 - near / most, float(np.log(most)), True, one, other)


def _members(cluster: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each cluster."""
    order = np.argsort(cluster, kind="stable")
    return np.split(order, np.cumsum(np.bincount(cluster))[:-1])


def _middle(rows: np.ndarray, relation: csr_array) -> int:
    """Return the row of a group that is nearest to all others of it, on the whole."""
    if len(rows) < 3:
        return int(rows[0])
    inside = relation[rows][:, rows].toarray()
    np.fill_diagonal(inside, 0)
    return int(rows[inside.sum(axis=1).argmax()])
