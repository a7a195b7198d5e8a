"""How often training looks at its losses, and what it checks before its network is written."""

import numpy as np
import torch

from mprd.data.pixels import PixelStore
from mprd.errors import UserError
from mprd.inference.embed import embed_pixels
from mprd.models.network import ReidNetwork

CHECK_EVERY = 20  # steps between two looks, for which the host waits for the device
_TRIED = 8  # images that a new network embeds


def require_sound(
    network: ReidNetwork, optimizer: torch.optim.Optimizer | None, store: PixelStore, advice: str
) -> None:
    """Check a network that was trained: the loss of a step says nothing of the step's own effect.

    Weights, running statistics and the moments of the optimiser must be finite, and so must the
    embeddings of some images: finite weights can be so large that every embedding is NaN.

    Args:
        network: after its last step; it is in eval mode afterwards.
        optimizer: whose state is written, too; None: it is dropped.
        store: the training images.
        advice: which setting to change, a sentence.

    Raises:
        UserError: training has diverged.
    """
    moments = [] if optimizer is None else list(optimizer.state.values())
    for values in (network.state_dict(), *moments):
        for name, tensor in values.items():
            if not bool(torch.isfinite(tensor).all()):
                raise UserError(f"Training has diverged: {name} is not finite. {advice}")
    some = store.batch(torch.arange(min(_TRIED, len(store))))
    if not np.isfinite(embed_pixels(network, some, store.device)).all():
        raise UserError(f"Training has diverged: the network embeds images as NaN. {advice}")
