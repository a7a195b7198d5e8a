"""Which pairs are worth a person's time? Those whose answer changes most pairs, as likely as it is.

Two clusters are asked about by one image of each, the one in their middle: a yes joins n1 x n2
pairs. Inside a cluster the same question goes to the two halves that average linkage joined last: a
no parts n1 x n2 pairs. So what an answer is worth is n1 x n2 times the probability that it is not
what the clusters say already. How likely two groups are one identity follows from their mean
distance, times included, by a curve that is fitted again to the answers so far.

People err. A yes joins much, and most pairs of clusters are no pair, so among the yeses many are
wrong: they count as one in fifty wrong, and a large group that hangs on one answer is asked about
once more, by other images. If the second answer is another one, only the image of the first is in
the wrong place.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array

from mprd.clustering.constraints import Constraints
from mprd.clustering.numbering import with_single_clusters
from mprd.clustering.sides import Sides
from mprd.judging.groups import Answers, Known, halves, pairs_of_clusters

# Of the curve: at the threshold, per unit of distance below it, per log of n1 x n2 of two clusters.
_PRIOR, _VARIANCE = np.array([0.0, 10.0, -0.5]), np.array([1.0, 25.0, 0.5])
_BOUNDS = ((-6, 6), (1, 40), (-3, 0))
_MISTAKES = 0.02


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

    def probability(self, facts: np.ndarray, said: np.ndarray) -> np.ndarray:
        """Return the probability of groups float (n, 3) to be one identity.

        Args:
            facts: float (n, 3).
            said: float (n,), log-odds that answers on them add.
        """
        return 1 / (1 + np.exp(-facts @ self.weights - said))

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
    answers: Answers,
    count: int,
    curve: Curve,
    threshold: float,
    sizes: np.ndarray | None = None,
    sides: np.ndarray | None = None,
) -> list[Question]:
    """Return the pairs that are most worth asking about, the most worthwhile first.

    No two of them ask about the same cluster, so that each counts whatever the answers to the
    others are.

    Args:
        labels: int (N,), -1 outlier: clusters in which the constraints hold.
        relation: (N, N), symmetric, how near two rows are: 1 - distance.
        constraints: what is known.
        answers: the judged pairs among that.
        count: most questions.
        curve: tells how likely groups are one identity.
        threshold: mean distance at which that is uncertain, before anything is answered.
        sizes: int (N,), images that each row stands for; None: one each.
        sides: int (N,), the side that the image of each row shows, -1 unknown: no left one is
            shown beside a right one. None: all are unknown.
    """
    apart = Sides(np.full(len(labels), -1) if sides is None else sides).apart
    cluster = with_single_clusters(labels)
    images = np.ones(len(labels)) if sizes is None else sizes.astype(float)
    known = Known(constraints, answers)
    groups = [
        *halves(cluster, relation, known, images),
        *pairs_of_clusters(cluster, relation, known, images),
    ]
    if not groups:
        return []
    facts = np.array([[1, threshold - one.distance, one.doubtful * one.log] for one in groups])
    said = np.array([one.yes - one.no for one in groups]) * np.log(1 / _MISTAKES - 1)
    likely = curve.probability(facts, said)
    joined = np.array([one.joined for one in groups])
    worth = np.where(joined, 1 - likely, likely) * np.exp([one.log for one in groups])
    found: list[Question] = []
    taken: set[int] = set()
    for n in np.argsort(-worth, kind="stable").tolist():
        if len(found) == count:
            break
        sides = groups[n].sides()
        names = {int(cluster[side[0]]) for side in sides}
        ends = [_middle(side[~np.isin(side, known.used(*sides))], relation) for side in sides]
        if names & taken or -1 in ends or apart(*np.array(ends)[:, None])[0]:
            continue
        taken |= names
        moves = int(min(images[side].sum() for side in sides))
        found.append(Question(min(ends), max(ends), moves, groups[n].joined, facts[n]))
    return found


def _middle(rows: np.ndarray, relation: csr_array) -> int:
    """Return the row of a group that is nearest to all others of it; -1: there is none."""
    if len(rows) < 3:
        return int(rows[0]) if len(rows) else -1
    inside = relation[rows][:, rows].toarray()
    np.fill_diagonal(inside, 0)
    return int(rows[inside.sum(axis=1).argmax()])
