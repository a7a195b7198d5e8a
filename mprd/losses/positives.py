"""A softmax with several positives."""

import torch
from torch import Tensor


def mean_over_positives(logits: Tensor, positive: Tensor, negative: Tensor, own: Tensor) -> Tensor:
    """Return the mean over the positives of -log softmax, over positives and negatives, (B,).

    Args:
        logits: (B, Q).
        positive: bool (B, Q); a row without any has the loss 0.
        negative: (B, n), logits of the negatives; -inf: none.
        own: int64 (B,), a column that is not positive: it stands in where there is no positive.

    Returns:
        (B,), differentiable, also where a row has neither positives nor negatives.
    """
    counts = positive.sum(dim=1)
    none = counts == 0
    some = positive.scatter(1, own[:, None], none[:, None])
    total = torch.cat([logits.masked_fill(~some, float("-inf")), negative], dim=1).logsumexp(dim=1)
    mean = (logits * some).sum(dim=1) / counts.clamp_min(1)
    return (total - mean).masked_fill(none, 0.0)
