"""Area under the ROC curve; scikit-learn's takes a second to import, in each process."""

import numpy as np


def roc_auc(same: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve, the same as scikit-learn's; NaN if all answers agree.

    Args:
        same: bool (n,), the answers.
        score: float (n,), higher where True is more likely.
    """
    if same.all() or not same.any():
        return float("nan")
    order = np.argsort(-score)
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # of equal scores
    hits = np.cumsum(same[order])[last]
    false = last + 1 - hits
    # Points on the line between two others do not count, not even by their rounding.
    corner = (np.diff(false, 2) != 0) | (np.diff(hits, 2) != 0)
    kept = np.concatenate([[True], corner, [True]])[: len(last)]
    y, x = (np.append(0, counts[kept]) / counts[-1] for counts in (hits, false))
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())
