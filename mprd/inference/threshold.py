"""From which similarity on are two images the same? A suggestion, with what it promises."""

import numpy as np


def suggest_threshold(
    similarity: np.ndarray, probability: np.ndarray, precision: float = 0.9
) -> tuple[float, float, float]:
    """Return the smallest similarity above which pairs are right often enough.

    Args:
        similarity: float (P,), of some pairs.
        probability: float (P,), that each is right: by a relation GCN, or 0 and 1 by a person.
        precision: share that must be right, by the mean of the probabilities.

    Returns:
        The similarity; the share of right pairs promised from there on; and the share of all
        right pairs that is found there. NaN, NaN and 0: no similarity promises as much.
    """
    order = np.argsort(-similarity, kind="stable")
    sorted_similarity, right = similarity[order], np.cumsum(probability[order])
    promised = right / np.arange(1, len(right) + 1)
    # Pairs of equal similarity are above the threshold together.
    last = np.append(sorted_similarity[1:] < sorted_similarity[:-1], True)[: len(right)]
    good = np.flatnonzero((promised >= precision) & last)
    if not len(good):
        return float("nan"), float("nan"), 0.0
    at = int(good[-1])
    return float(sorted_similarity[at]), float(promised[at]), float(right[at] / right[-1])
