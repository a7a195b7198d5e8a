"""NT-Xent, the loss of the self-supervised warm-up (Chen et al., SimCLR, ICML 2020, eq. 1)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Return the normalised-temperature cross entropy of two views.

    Args:
        first: (B, D), unit rows.
        second: (B, D), unit rows; row i is another view of the image of `first[i]`.
        temperature: softmax temperature.

    Returns:
        Scalar.
    """
    batch = len(first)
    views = torch.cat([first, second])
    logits = views @ views.T / temperature
    logits = logits.masked_fill(
        torch.eye(2 * batch, dtype=torch.bool, device=views.device), float("-inf")
    )
    partner = torch.arange(2 * batch, device=views.device).roll(batch)
    return F.cross_entropy(logits, partner)
