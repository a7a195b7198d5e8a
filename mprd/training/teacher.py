"""A mean teacher: the moving average of a network's weights (Tarvainen & Valpola, NeurIPS 2017)."""

import torch

from mprd.models.network import ReidNetwork


class MeanTeacher:
    """A network that follows another one slowly.

    Attributes:
        network: the teacher, never trained itself.
    """

    def __init__(self, network: ReidNetwork, momentum: float) -> None:
        """Take over the teacher as it is.

        Args:
            network: on the student's device; changed in place.
            momentum: share of the old weights that a step keeps.
        """
        self.network, self.momentum = network.eval().requires_grad_(False), momentum

    @torch.no_grad()
    def follow(self, student: ReidNetwork) -> None:
        """Move a step towards the student: weights and batch-norm statistics alike."""
        ours, theirs = self.network.state_dict(), student.state_dict()
        for name, value in ours.items():
            if value.dtype.is_floating_point:
                value.lerp_(theirs[name], 1 - self.momentum)
            else:
                value.copy_(theirs[name])
