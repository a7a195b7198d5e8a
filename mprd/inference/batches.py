"""How many images a network embeds at once, and less after the GPU's memory has run out."""

import sys
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from mprd.models.footprint import footprint
from mprd.models.network import ReidNetwork
from mprd.system import group

BatchSetting = int | Literal["auto"]
CPU_BATCH = 64  # as fast as larger ones there, and smaller
_MOST = 512  # on a GPU, where larger ones gain nothing
_SHARE = 0.5  # of the free memory
_MAPS = 8  # largest feature maps that are in memory at once: input, output, convolution, spare


def batch_size(network: ReidNetwork, device: torch.device, setting: BatchSetting) -> int:
    """Return how many images to embed at once; the same in all processes of a group.

    Args:
        network: on `device`; it is set to eval mode.
        device: where to compute.
        setting: `features.batch`.
    """
    if setting != "auto":
        return setting
    if device.type != "cuda":
        return CPU_BATCH
    return group.least(_that_fits(network, device))


def _that_fits(network: ReidNetwork, device: torch.device) -> int:
    """Return the largest power of two whose feature maps fit into the free memory of a GPU."""
    free, _ = torch.cuda.mem_get_info(device)
    # What torch has freed it keeps, for the next who asks.
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    fit = int(_SHARE * free) // (_MAPS * footprint(network.eval()).largest)
    return min(_MOST, 1 << max(fit.bit_length() - 1, 0))


class Batches:
    """Embeds batches in parts, smaller ones from where the memory of the GPU has run out."""

    def __init__(self, embed: Callable[[Tensor], Tensor], size: int) -> None:
        """Begin.

        Args:
            embed: pixels (n, H, W, 3) -> embeddings (n, D).
            size: images at once.
        """
        self._embed, self.size = embed, size

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the embeddings of some images, (n, D).

        Raises:
            torch.OutOfMemoryError: there is too little memory for a single one.
        """
        while True:
            try:
                return torch.cat([self._embed(part) for part in pixels.split(self.size)])
            except torch.OutOfMemoryError:
                tried = min(self.size, len(pixels))
                if tried == 1:
                    raise
            # Outside the handler: its traceback holds the tensors of the pass.
            self.size = tried // 2
            torch.cuda.empty_cache()
            print(
                f"The GPU's memory is too small for {tried} images at once: from here on "
                f"{self.size} (features.batch).",
                file=sys.stderr,
                flush=True,
            )
