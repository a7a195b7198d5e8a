"""A weights file as the start of a run: what it is, and the settings that follow from it."""

import timeit
from dataclasses import dataclass
from pathlib import Path

import torch

from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture
from mprd.models.backbones.timm_source import TIMM, named_source
from mprd.models.network import ReidNetwork
from mprd.models.own_input import with_own_input
from mprd.models.recognition import Recognised, recognise, supported
from mprd.models.weights import Loaded, load_checkpoint, read_architecture
from mprd.models.weights_file import is_ours, read_weights

_REID_SIDE = 256  # longer side of the images, pixels
_TIMED = 8  # images


@dataclass(frozen=True)
class Start:
    """Weights, loaded once to see that they fit.

    Attributes:
        path: the file; None: the published weights of the backbone.
        architecture: what it is, for the images of this run.
        loaded: which of the file's tensors are used; None without a file.
        rate: images that one CPU core embeds in a second.
    """

    path: Path | None
    architecture: Architecture
    loaded: Loaded | None
    rate: float

    def __str__(self) -> str:
        """Return it in words."""
        shape = self.architecture
        if self.path is not None:
            return f"weights in {self.path}: {shape.backbone}, {self.loaded}"
        return f"weights of {shape.backbone}: images of {shape.height}x{shape.width} pixels"


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
    architecture = with_own_input(architecture, path)
    network = ReidNetwork(architecture)
    loaded = load_checkpoint(network, path)
    return Start(path, architecture, loaded, _rate(network.eval()))


def published_start(backbone: str) -> Start:
    """Build a network of timm or of the hub with its published weights, size and pooling.

    Args:
        backbone: `model.backbone`.

    Raises:
        UserError: no such network, or its weights cannot be had.
    """
    source = named_source(backbone) if backbone.startswith(TIMM) else None
    if source is None:
        raise UserError(
            f"--backbone takes timm/NAME or timm/hf-hub:OWNER/NAME of a network with published "
            f"weights, not {backbone!r}. Set model.backbone in the config for others."
        )
    height, width = source.size
    architecture = Architecture(backbone, "own", 0, height, width, last_stride=2)
    network = ReidNetwork(with_own_input(architecture), pretrained=True)
    return Start(None, network.architecture, None, _rate(network.eval()))


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
