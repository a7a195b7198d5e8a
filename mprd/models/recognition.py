"""Which network a weights file holds, seen from the names and shapes of its tensors."""

import re
from dataclasses import dataclass
from functools import cache

from torch import nn

from mprd.errors import UserError
from mprd.models.backbones.registry import BACKBONES, Architecture, build_backbone
from mprd.models.backbones.timm import TimmTrunk, fixed_size, network_names
from mprd.models.own_input import beside, with_own_input
from mprd.models.weights_file import WeightsFile, backbone_prefix, fit
from mprd.system.shapes_only import shapes_only

# Family of backbones -> a tensor that all its files have: no other family needs to be built.
_TELLTALES = {
    "osnet": "backbone.conv5.conv.weight",
    "resnet": "backbone.layer4.0.conv1.weight",
    "mini": "backbone.layers.0.conv1.weight",
}
_TIMM = "timm/"
_OSNET = (256, 128)  # of all its published files
_ANY = (64, 64)  # a CNN is built for some size


@dataclass(frozen=True)
class Recognised:
    """What a file holds.

    Attributes:
        backbone: `model.backbone`.
        pooling: `model.pooling`, with which the network was trained where that is known.
        size: height and width of the images that it wants; None: any.
        from_reid: it was trained for re-identification.
        last_stride: `model.last_stride`.
        bn_group_size: `model.bn_group_size`.
    """

    backbone: str
    pooling: str
    size: tuple[int, int] | None
    from_reid: bool
    last_stride: int = 1
    bn_group_size: int = 0


def recognise(file: WeightsFile) -> Recognised | None:
    """Tell which of our backbones a file of another project holds; None: none of them."""
    return _largest(_shipped(file), file) or _largest(_of_timm(file), file)


def supported() -> str:
    """Return a sentence on the files that can be recognised."""
    osnets = [name for name in BACKBONES.names() if name.startswith("osnet")]
    resnets = [name for name in BACKBONES.names() if name.startswith("resnet")]
    return (
        f"mprd reads its own model.safetensors, OSNets of torchreid ({', '.join(osnets)}), ResNets "
        "of torchvision, IBN-Net, fast-reid (without non-local blocks), SpCL and Cluster Contrast "
        f"({', '.join(resnets)}), and networks of timm if the name of the file begins with that "
        "of the network, or a config.json beside it names it."
    )


def _shipped(file: WeightsFile) -> list[str]:
    keys = set(file.names().values())
    families = tuple(family for family, key in _TELLTALES.items() if key in keys)
    return [name for name in BACKBONES.names() if name.startswith(families)]


def _of_timm(file: WeightsFile) -> list[str]:
    known = network_names()
    # timm names its files by network and digest, such as resnet18d_ra2-48a79e06.pth.
    begins = [name for name in known if re.match(rf"{name}(?![A-Za-z0-9])", file.path.name)]
    names = {file.network.partition(".")[0], max(begins, key=len, default="")}
    return [_TIMM + name for name in names.intersection(known)]


def _largest(names: list[str], file: WeightsFile) -> Recognised | None:
    """Return the backbone that a file fits, of several the largest: a resnet34 holds a resnet18."""
    best, most = None, 0
    for name in names:
        network = _skeleton(name, file)
        if network is None:
            continue
        inside = backbone_prefix(network)
        wanted = {f"backbone.{key}": value for key, value in network.state_dict().items()}
        found = fit(file.tensors, file.names(inside), wanted, inside)
        if found.good and len(found.used) > most:
            best, most = _described(name, network, file), len(found.used)
    return best


def _skeleton(name: str, file: WeightsFile) -> nn.Module | None:
    """Return a backbone without values; None for one of timm that cannot be built."""
    is_timm = name.startswith(_TIMM)
    source = beside(file.path, name) if is_timm else None
    default = source.size if source else is_timm and fixed_size(name)
    size = default or _ANY
    # The weights are the same with either stride; timm's networks have 2.
    shape = Architecture(name, "avg", 0, *size, last_stride=2 if is_timm else 1)
    try:
        return _without_values(with_own_input(shape, file.path))
    except UserError:
        return None


@cache
def _without_values(shape: Architecture) -> nn.Module:
    with shapes_only():
        return build_backbone(shape).network


def _described(name: str, network: nn.Module, file: WeightsFile) -> Recognised:
    if name.startswith("osnet"):
        return Recognised(name, "avg", _OSNET, from_reid=True)
    if isinstance(network, TimmTrunk):
        source = beside(file.path, name)
        if source is not None and source.said:
            return Recognised(name, "own", source.size, from_reid=False, last_stride=2)
        token = "token" if network.has_class_token else "avg"
        pooling = "gem" if network.has_stages else token
        return Recognised(name, pooling, fixed_size(name), from_reid=False, last_stride=2)
    learnt = "pool.p" in file.names().values()
    pooling = "avg" if file.from_reid and not learnt else "gem"
    return Recognised(name, pooling, None, from_reid=file.from_reid)
