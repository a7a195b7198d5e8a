"""The mean of the weights that epochs leave: it varies less than the weights of one epoch."""

import torch
from torch import Tensor

from mprd.models.network import ReidNetwork


class WeightMean:
    """The mean of the weights and running statistics of some epochs (Izmailov et al., UAI 2018).

    There the statistics are computed anew. Here they are averaged like weights, because epochs of
    one training are so close to each other.
    """

    def __init__(self, network: ReidNetwork, count: int) -> None:
        """Start from what is there already.

        Args:
            network: holds the mean so far.
            count: of how many epochs, at least 1.
        """
        self._mean = _copied(network)
        self._count = count

    @torch.no_grad()
    def add(self, network: ReidNetwork) -> dict[str, Tensor]:
        """Count one epoch more, and put the new mean into the network.

        Args:
            network: holds the weights that the epoch left.

        Returns:
            What the epoch left: the next one goes on with it.
        """
        left = _copied(network)
        self._count += 1
        for name, value in network.state_dict().items():
            if value.is_floating_point():  # whole numbers count batches
                mean = self._mean[name]
                value.copy_(mean.add_((value - mean) / self._count))
        return left


def _copied(network: ReidNetwork) -> dict[str, Tensor]:
    """Return the state dict in memory of its own."""
    return {name: value.clone() for name, value in network.state_dict().items()}
