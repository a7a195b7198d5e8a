"""Probabilities at the positive rate of the pairs asked about, and how well calibrated they are.

The GCN learns from balanced tasks, half of them true pairs. Where a quarter of the pairs are true,
its answers are too high: by Bayes' rule their odds must be multiplied by the odds of the rate.
"""

from typing import Any

import numpy as np
from torch import Tensor

_ROUNDS = 100
_SETTLED = 1e-6
_LEAST = 0.01  # no population is taken to hold fewer true pairs, or fewer false ones
BINS = 10


def at_prior(probability: Tensor, prior: float) -> Tensor:
    """Return probabilities of balanced tasks as those at another positive rate.

    Args:
        probability: (n,), p under a prior of one half.
        prior: positive rate, in (0, 1).
    """
    true, false = prior * probability, (1 - prior) * (1 - probability)
    return true / (true + false).clamp_min(1e-12)


def estimate_prior(probability: Tensor) -> float:
    """Return the positive rate of a population of pairs, from probabilities of balanced tasks.

    Expectation maximisation (Saerens, Latinne, Decaestecker: Adjusting the Outputs of a Classifier
    to New a Priori Probabilities, Neural Computation 2002, eq. 2.9); needs no label.

    Args:
        probability: (n,), p of the pairs of the population; none: one half is returned.
    """
    if not len(probability):
        return 0.5
    probability = probability.double().cpu()  # the rounds below each wait for their sum
    prior = 0.5
    for _ in range(_ROUNDS):
        before, prior = prior, float(at_prior(probability, prior).mean())
        prior = min(max(prior, _LEAST), 1 - _LEAST)
        if abs(prior - before) < _SETTLED:
            break
    return prior


def calibration(probability: Tensor, same: Tensor) -> dict[str, Any]:
    """Compare probabilities with the truth.

    Args:
        probability: (n,).
        same: bool (n,).

    Returns:
        `brier`, the mean squared error (Brier, 1950), and `reliability`: for each tenth of the
        range that holds pairs, their number, mean probability and positive rate.
    """
    p, truth = probability.double().cpu().numpy(), same.cpu().numpy().astype(float)
    place = np.minimum((p * BINS).astype(int), BINS - 1)
    rows = [
        {
            "pairs": int((place == b).sum()),
            "probability": float(p[place == b].mean()),
            "true": float(truth[place == b].mean()),
        }
        for b in range(BINS)
        if (place == b).any()
    ]
    brier = float(((p - truth) ** 2).mean()) if len(p) else float("nan")
    return {"brier": brier, "reliability": rows}
