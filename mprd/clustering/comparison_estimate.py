"""Pair precision and recall of two clusterings and their differences, from the same answers.

Estimates and intervals are those of `audit_estimate`, over the strata of `comparison`. Both
clusterings get the same draws of the posterior, so what they share cancels in the difference.
"""

from dataclasses import dataclass

import numpy as np

from mprd.clustering.audit_estimate import Estimate, same_totals
from mprd.clustering.comparison import ComparisonPairs


@dataclass(frozen=True)
class PairShares:
    """What the answers say about a clustering.

    Attributes:
        precision: share of the pairs inside its clusters that show one identity.
        recall: share of the pairs of one identity that lie inside its clusters.
    """

    precision: Estimate
    recall: Estimate


@dataclass(frozen=True)
class PairDifference:
    """By how much the first clustering exceeds the second.

    Attributes:
        precision: in pair precision.
        recall: in pair recall.
        f1: in the harmonic mean of both.
    """

    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True)
class ComparisonEstimate:
    """What the same answers say about two clusterings.

    Attributes:
        first: of the first one.
        second: of the second one.
        difference: first - second.
        answers: pairs that a person could tell.
    """

    first: PairShares
    second: PairShares
    difference: PairDifference
    answers: int


def comparison_estimate(drawn: ComparisonPairs, same: np.ndarray) -> ComparisonEstimate:
    """Estimate pair precision and pair recall of two clusterings, and how far they differ.

    Args:
        drawn: the pairs, of `comparison_pairs`.
        same: int (n,), of each pair: 1 one identity, 0 two, -1 cannot tell.

    Raises:
        ValueError: not one answer each, other values, or a stratum without an answer.
    """
    totals = same_totals(drawn, same)
    first, second = (
        (totals.precision(joined), totals.recall(joined), totals.f1(joined))
        for joined in drawn.joined
    )
    difference = [one.minus(other) for one, other in zip(first, second, strict=True)]
    return ComparisonEstimate(
        first=PairShares(*(one.interval() for one in first[:2])),
        second=PairShares(*(one.interval() for one in second[:2])),
        difference=PairDifference(*(one.interval(least=-1.0) for one in difference)),
        answers=totals.answers,
    )
