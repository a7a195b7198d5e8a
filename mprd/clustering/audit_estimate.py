"""Pair precision and recall of a clustering, from the answers to a stratified sample of pairs.

The estimates are those of stratified sampling (Horvitz and Thompson, JASA 1952): a stratum of N
pairs with x of n answers "the same" holds N x / n such pairs. Both totals, inside and outside
clusters, are unbiased, and so is precision; recall is a ratio of unbiased totals.

The intervals are Bayesian, because fifty answers bound nothing without an assumption: if none of
four far pairs is the same, one in two could be. Inside clusters each stratum has Jeffreys' prior
(Brown, Cai and DasGupta: Interval estimation for a binomial proportion, Stat. Sci. 2001, also for
the ends where all answers are alike). Between clusters the rate falls with the similarity rank: the
nearest stratum has a uniform prior, and at each doubling of the rank the rate is multiplied by a
factor below 1, with prior Beta(a, 1); a, the same for all of them, is uniform in its logarithm
from 1 to 4. What was not asked is drawn from its posterior.
`benchmarks/audit.py` measures how often the intervals hold the truth.
"""

from dataclasses import dataclass

import numpy as np

from mprd.clustering.audit import AuditPairs

_DRAWS, _KEPT = 20_000, 4_000
_LEVEL = 0.95
_JEFFREYS = 0.5
_PACE = (1.0, 4.0)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class AuditEstimate:
    """What an audit says about a clustering.

    Attributes:
        precision: share of the pairs inside clusters that show one identity.
        recall: share of the pairs of one identity that lie inside clusters.
        answers: pairs that a person could tell.
        rates: float64 (I,), share of same pairs in each stratum inside clusters: posterior mean.
        sizes: int64 (I,), pairs in these strata.
    """

    precision: Estimate
    recall: Estimate
    answers: int
    rates: np.ndarray
    sizes: np.ndarray


def audit_estimate(drawn: AuditPairs, same: np.ndarray) -> AuditEstimate:
    """Estimate pair precision and pair recall of the clustering that the pairs were drawn for.

    A pair that nobody could tell counts as not drawn.

    Args:
        drawn: the pairs of the audit.
        same: int (n,), of each pair: 1 one identity, 0 two, -1 cannot tell.

    Raises:
        ValueError: not one answer each, other values, or a stratum without an answer.
    """
    found = same_totals(drawn, same)
    inside = np.arange(len(drawn.sizes)) < drawn.inside
    return AuditEstimate(
        precision=found.precision(inside).interval(),
        recall=found.recall(inside).interval(),
        answers=found.answers,
        rates=found.draws[:, inside].mean(axis=0) / drawn.sizes[inside],
        sizes=drawn.sizes[inside],
    )


@dataclass(frozen=True)
class Figure:
    """A number that the answers tell roughly.

    Attributes:
        value: its estimate, NaN unknown.
        draws: float64 (n,), of its posterior.
    """

    value: float
    draws: np.ndarray

    def minus(self, other: "Figure") -> "Figure":
        """Return the difference of two numbers that the same answers tell."""
        return Figure(self.value - other.value, self.draws - other.draws)

    def interval(self, least: float = 0.0) -> Estimate:
        """Return the estimate with its interval, which holds it.

        Args:
            least: that the number can be, if nothing is known of it; 1 is the most.
        """
        if np.isnan(self.value):
            return Estimate(float(self.value), least, 1.0)
        low, high = np.quantile(self.draws, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
        ends = float(np.fmin(low, self.value)), float(np.fmax(high, self.value))
        return Estimate(float(self.value), *ends)


@dataclass(frozen=True)
class SameTotals:
    """How many pairs of each stratum show one identity.

    Attributes:
        sizes: int64 (S,), pairs of each stratum.
        values: float64 (S,), unbiased estimates.
        draws: int64 (n, S), of the posterior.
        answers: pairs that a person could tell.
    """

    sizes: np.ndarray
    values: np.ndarray
    draws: np.ndarray
    answers: int

    def precision(self, joined: np.ndarray) -> Figure:
        """Return the pair precision of a clustering that joins these strata, bool (S,)."""
        pairs = self.sizes[joined].sum()
        return Figure(self.values[joined].sum() / pairs, self._found(joined) / pairs)

    def recall(self, joined: np.ndarray) -> Figure:
        """Return its pair recall."""
        found, missed = self.values[joined].sum(), self.values[~joined].sum()
        return Figure(
            found / (found + missed) if found + missed else float("nan"),
            self._found(joined) / np.maximum(self.draws.sum(axis=1), 1),
        )

    def f1(self, joined: np.ndarray) -> Figure:
        """Return the harmonic mean of both."""
        pairs = self.sizes[joined].sum()
        return Figure(
            2 * self.values[joined].sum() / (pairs + self.values.sum()),
            2 * self._found(joined) / (pairs + self.draws.sum(axis=1)),
        )

    def _found(self, joined: np.ndarray) -> np.ndarray:
        return self.draws[:, joined].sum(axis=1)


def same_totals(drawn: AuditPairs, same: np.ndarray) -> SameTotals:
    """Return what the answers tell about each stratum; see `audit_estimate`."""
    same = np.asarray(same)
    if same.shape != drawn.stratum.shape or not np.isin(same, (-1, 0, 1)).all():
        raise ValueError(f"give an answer 1, 0 or -1 to each of the {len(drawn.stratum)} pairs.")
    strata, told = len(drawn.sizes), same >= 0
    asked = np.bincount(drawn.stratum[told], minlength=strata)
    if not asked.all():
        raise ValueError("a stratum has no answer: too many pairs could not be told.")
    alike = np.bincount(drawn.stratum[same == 1], minlength=strata)
    rng = np.random.default_rng(0)
    inside, between = slice(0, drawn.inside), slice(drawn.inside, strata)
    rates = np.concatenate(
        [
            rng.beta(
                _JEFFREYS + alike[inside],
                _JEFFREYS + asked[inside] - alike[inside],
                (_KEPT, drawn.inside),
            ),
            _falling(rng, alike[between], asked[between], drawn.sizes[between]),
        ],
        axis=1,
    )
    return SameTotals(
        sizes=drawn.sizes,
        values=drawn.sizes * alike / asked,
        draws=alike + rng.binomial(drawn.sizes - asked, rates),
        answers=int(told.sum()),
    )


def _falling(
    rng: np.random.Generator, alike: np.ndarray, asked: np.ndarray, sizes: np.ndarray
) -> np.ndarray:
    """Draw rates that fall from stratum to stratum, given the answers, by importance resampling.

    Returns:
        float64 (_KEPT, S).
    """
    ends = np.cumsum(sizes)
    doublings = np.maximum(1, np.round(np.log2(ends[1:] / ends[:-1]))).astype(int)
    rates = [rng.random(_DRAWS)] if len(sizes) else []
    pace = np.exp(rng.uniform(np.log(_PACE[0]), np.log(_PACE[1]), (_DRAWS, 1)))
    for steps in doublings:
        rates.append(rates[-1] * rng.beta(pace, 1, (_DRAWS, steps)).prod(axis=1))
    table = np.clip(np.stack(rates, axis=1) if rates else np.empty((_DRAWS, 0)), 1e-12, 1 - 1e-12)
    fit = (alike * np.log(table) + (asked - alike) * np.log1p(-table)).sum(axis=1)
    weight = np.exp(fit - fit.max())
    return table[rng.choice(_DRAWS, _KEPT, p=weight / weight.sum())]
