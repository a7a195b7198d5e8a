"""How much memory the feature maps of a network take."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mprd.artifacts.workbench import keep
from mprd.models.network import ReidNetwork


@dataclass(frozen=True)
class Footprint:
    """Sizes in bytes, at float32.

    Attributes:
        activations: all feature maps of one image, which a backward pass needs.
        largest: the largest of them.
        weights: all parameters.
    """

    activations: int
    largest: int
    weights: int


def footprint(network: ReidNetwork) -> Footprint:
    """Return the sizes of a network, found by embedding one black image.

    Args:
        network: in eval mode.
    """
    return keep("footprint", network.architecture, lambda: _measured(network))


def _measured(network: ReidNetwork) -> Footprint:
    sizes: list[int] = []

    def note(module: nn.Module, inputs: Any, output: Tensor) -> None:
        sizes.append(4 * output.numel())

    # In-place modules allocate no second map.
    kept = [
        module
        for module in network.backbone.modules()
        if not isinstance(module, nn.ReLU | nn.Identity) and not list(module.children())
    ]
    handles = [module.register_forward_hook(note) for module in kept]
    shape = network.architecture
    image = torch.zeros(1, 3, shape.height, shape.width, device=next(network.parameters()).device)
    try:
        with torch.inference_mode():
            network.backbone(image)
    finally:
        for handle in handles:
            handle.remove()
    weights = sum(4 * p.numel() for p in network.parameters())
    return Footprint(sum(sizes), max(sizes), weights)
