"""A weights file as the start of a run: what it is, and the settings that follow from it."""

import timeit
from dataclasses import dataclass
from pathlib import Path

import torch

from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
from mprd.models.recognition import Recognised, recognise, supported
from mprd.models.weights import Loaded, load_checkpoint, read_architecture
from mprd.models.weights_file import is_ours, read_weights

_REID_SIDE = 256  # longer side of the images, pixels
_TIMED = 8  # images


@dataclass(frozen=True)
class Start:
    """A weights file, loaded once to see that it fits.

    Attributes:
        path: the file.
        architecture: what it is, for the images of this run.
        loaded: which of its tensors are used.
        rate: images that one CPU core embeds in a second.
    """

    path: Path
    architecture: Architecture
    loaded: Loaded
    rate: float


def known_start(path: Path, size: tuple[int, int]) -> Start:
    """Recognise a weights file and load it.

    Args:
        path: the file.
        size: height and width for images of this folder, for a network that takes any size.

    Raises:
        UserError: missing, unreadable, or of no network that mprd knows.
    """
    seen = _seen(path)
    # Published networks see people at 256x128, vehicles at 256x256.
    scale = _REID_SIDE / max(size) if seen.from_reid else 1
    height, width = seen.size or (round(scale * size[0]), round(scale * size[1]))
    architecture = Architecture(
        backbone=seen.backbone,
        pooling=seen.pooling,
        bn_group_size=seen.bn_group_size,
        height=height,
        width=width,
        last_stride=seen.last_stride,
    )
    network = ReidNetwork(architecture)
    loaded = load_checkpoint(network, path)
    return Start(path, architecture, loaded, _rate(network.eval()))


def _seen(path: Path) -> Recognised:
    if is_ours(path):
        ours, _ = read_architecture(path)
        return Recognised(
            backbone=ours.backbone,
            pooling=ours.pooling,
            size=(ours.height, ours.width),
            from_reid=True,
            last_stride=ours.last_stride,
            bn_group_size=ours.bn_group_size,
        )
    seen = recognise(read_weights(path))
    if seen is None:
        raise UserError(f"{path} holds no network that mprd knows. {supported()}")
    return seen


def _rate(network: ReidNetwork) -> float:
    """Return how many images a core embeds in a second."""
    shape, threads = network.architecture, torch.get_num_threads()
    images = torch.zeros(_TIMED, 3, shape.height, shape.width)
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return _TIMED / min(timeit.repeat(lambda: network(images), number=1, repeat=4))
    finally:
        torch.set_num_threads(threads)
