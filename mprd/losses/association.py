"""Online association of cameras (Wang et al., O2CAP, IEEE Trans. Image Processing, 2022)."""

import torch
from torch import Tensor

from mprd.losses.positives import mean_over_positives

_OWN_PROXY = 0.85  # share of the own proxy in the score of a proxy; the image has the rest
_NEAREST = 3  # cameras whose best proxy counts as a positive
_FARTHEST = -9.0  # below every score


def association_loss(
    x: Tensor,
    own: Tensor,
    proxies: Tensor,
    place: Tensor,
    cameras: int,
    *,
    temperature: float,
    hardest: int,
) -> Tensor:
    """Return the mean loss of a batch over associations that are made in the step itself.

    A proxy k has the score 0.15 x k + 0.85 k_own k for an image x whose own proxy is k_own. The
    best proxy of each other camera is a candidate, and the three best candidates are positives,
    whatever cluster they are in: clusters that are parted by camera can find each other. The loss
    of an image is the mean over its positives of -log softmax(x k / T) over the positives and the
    `hardest` proxies of the highest score among all others but its own; 0 if there is no other
    camera.

    Args:
        x: (B, D), unit rows.
        own: int64 (B,), proxy of each image.
        proxies: (Q, D), unit rows.
        place: int64 (Q,), camera of each proxy, 0..cameras-1.
        cameras: cameras, C.
        temperature: T.
        hardest: negatives of an image, at most.

    Returns:
        Scalar, differentiable in `x`.
    """
    similarity = x @ proxies.T
    with torch.no_grad():
        score = (1 - _OWN_PROXY) * similarity + _OWN_PROXY * (proxies[own] @ proxies.T)
        positive = _positives(score, place, place[own], cameras)
        taken = positive.scatter(1, own[:, None], True)
        rest = score.masked_fill(taken, _FARTHEST)
        values, negative = rest.topk(min(hardest, len(proxies)), dim=1)
    logits = similarity / temperature
    near = logits.gather(1, negative).masked_fill(values == _FARTHEST, float("-inf"))
    return mean_over_positives(logits, positive, near, own).mean()


def _positives(score: Tensor, place: Tensor, here: Tensor, cameras: int) -> Tensor:
    """Return the best proxy of the three cameras where it scores highest, bool (B, Q).

    Args:
        score: (B, Q).
        place: int64 (Q,), camera of each proxy.
        here: int64 (B,), camera of each image, which is left out.
        cameras: C.
    """
    outside = score.masked_fill(place[None] == here[:, None], _FARTHEST)
    columns = place.expand(len(score), -1)
    best = outside.new_full((len(score), cameras), _FARTHEST)
    best = best.scatter_reduce(1, columns, outside, "amax")
    values, nearest = best.topk(min(_NEAREST, cameras), dim=1)
    chosen = torch.zeros_like(best, dtype=torch.bool).scatter(1, nearest, values > _FARTHEST)
    return (outside == best.gather(1, columns)) & chosen.gather(1, columns)
