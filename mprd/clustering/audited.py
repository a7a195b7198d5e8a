"""Probabilities of the images in clusters, from an audit of the clusters."""

import numpy as np

_EDGE = 0.02  # memberships nearer to 0 or 1 say no more
_WIDEST, _HALVINGS = 20.0, 60  # of the search for the shift, in log odds


def audited_probability(membership: np.ndarray, labels: np.ndarray, precision: float) -> np.ndarray:
    """Return how likely another image of its cluster shows the same identity, for each image.

    A membership orders images by doubt, but its level means nothing. The audit knows the level: the
    log odds of all memberships are shifted by one number, so that their mean over all pairs inside
    clusters is the audited pair precision.

    Args:
        membership: float32 (N,), mean relation to the others of the cluster.
        labels: int (N,), -1 outlier.
        precision: share of the pairs inside clusters that show one identity, above 0 and below 1.

    Returns:
        float32 (N,); NaN for outliers, and for an image alone in its cluster.
    """
    inside = labels >= 0
    mates = np.where(inside, np.bincount(labels[inside], minlength=1)[labels] - 1, 0)
    paired = mates > 0
    probability = np.full(len(labels), np.nan, np.float32)
    if not paired.any():
        return probability
    level = np.clip(membership[paired].astype(np.float64), _EDGE, 1 - _EDGE)
    odds, weight = np.log(level / (1 - level)), mates[paired]
    low, high = -_WIDEST, _WIDEST
    for _ in range(_HALVINGS):
        shift = (low + high) / 2
        mean = np.average(_logistic(odds + shift), weights=weight)
        low, high = (shift, high) if mean < precision else (low, shift)
    probability[paired] = _logistic(odds + low)
    return probability


def _logistic(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))
