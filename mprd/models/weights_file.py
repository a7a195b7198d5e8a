"""Weights files of other projects: their tensors, under the names of our network."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from mprd.artifacts.tensor_header import parse_mprd_header, require_length, require_utf8
from mprd.artifacts.torch_files import load_torch, not_weights
from mprd.errors import UserError, why_no_file
from mprd.models.backbones.registry import Architecture
from mprd.models.backbones.timm import TimmTrunk
from mprd.models.judged import parse_architecture

# Plain values that training scripts store beside the weights: scores, and the command line.
_NUMBERS = [type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64")]
_PLAIN: list[Any] = [argparse.Namespace, np.dtype, *_NUMBERS]
_SCALAR = np.float32().__reduce__()[0]
_PLAIN += [(_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
SCHEMA = "mprd.model"
_WRAPPERS = ("state_dict", "model")
# What follows the feature map, in fast-reid, "bag of tricks", SpCL and Cluster Contrast.
_BEHIND = {
    "heads.bottleneck.0.": "neck.",
    "bottleneck.": "neck.",
    "feat_bn.": "neck.",
    "heads.pool_layer.p": "pool.p",
    "gap.p": "pool.p",
}
# SpCL and Cluster Contrast number the parts of a ResNet; 2 and 3 hold no weights.
_NUMBERED = {"0": "conv1", "1": "bn1"} | {str(3 + layer): f"layer{layer}" for layer in range(1, 5)}
_CLASSIFIERS = {"classifier", "fc", "head", "heads"}


@dataclass(frozen=True)
class WeightsFile:
    """Its tensors.

    Attributes:
        path: the file.
        tensors: name in the file, without `module.` -> tensor.
        network: how the file, or a `config.json` beside it, calls its network; "": not at all.
    """

    path: Path
    tensors: dict[str, Tensor]
    network: str

    @property
    def from_reid(self) -> bool:
        """Tell whether its backbone is a part of a network for re-identification."""
        return any(key.startswith(("backbone.", "base.")) for key in self.tensors)

    def names(self, inside: str = "backbone.") -> dict[str, str]:
        """Return the name in our network of each tensor.

        Args:
            inside: what our names of the backbone's tensors begin with.
        """
        return {key: _our_name(key, inside) for key in self.tensors}


@dataclass(frozen=True)
class Fit:
    """How a file fits a network.

    Attributes:
        used: our name -> tensor of the file.
        unused: names in the file of the other tensors, sorted.
        missing: our names of the backbone's weights that the file lacks.
        wrong: likewise, that have another shape in the file.
        foreign: names in the file of backbone layers that the network lacks.
    """

    used: dict[str, Tensor]
    unused: list[str]
    missing: list[str]
    wrong: list[str]
    foreign: list[str]

    @property
    def good(self) -> bool:
        """Tell whether the file holds this backbone, all of it and nothing else."""
        return not (self.missing or self.wrong or self.foreign)


def backbone_prefix(backbone: nn.Module) -> str:
    """Return what our names of a backbone's tensors begin with.

    A timm file names the tensors of timm's own network, inside our trunk.
    """
    return "backbone.network." if isinstance(backbone, TimmTrunk) else "backbone."


def is_ours(path: Path) -> bool:
    """Tell whether a file is safetensors with a header of mprd."""
    try:
        require_length(path)
        with safe_open(path, framework="pt") as file:
            return "mprd" in (file.metadata() or {})
    except (OSError, SafetensorError, ValueError):  # whoever reads it says what is wrong with it
        return False


def stored_architecture(path: Path) -> Architecture | None:
    """Return the architecture in the header of a file; None: no readable model of mprd."""
    try:
        require_length(path)
        with safe_open(path, framework="pt") as file:
            header = parse_mprd_header(file.metadata())
        if header.get("schema") != SCHEMA:
            return None
        return parse_architecture(json.loads(header["architecture"]))
    except (OSError, SafetensorError, ValueError):  # whoever reads the weights says what is wrong
        return None


def fit(
    tensors: Mapping[str, Tensor],
    names: Mapping[str, str],
    wanted: Mapping[str, Tensor],
    inside: str,
) -> Fit:
    """Compare tensors with the state dict of one of our networks, or of its backbone.

    Args:
        tensors: name in a file -> tensor.
        names: name in the file -> our name.
        wanted: our name -> tensor.
        inside: what the names of the tensors begin with that the file must hold.
    """
    found = {ours: tensors[theirs] for theirs, ours in names.items() if ours in wanted}
    used = {name: tensor for name, tensor in found.items() if tensor.shape == wanted[name].shape}
    needed = [name for name in wanted if name.startswith(inside)]
    parts = {name.removeprefix(inside).partition(".")[0] for name in needed}
    unused = sorted(theirs for theirs, ours in names.items() if ours not in used)
    return Fit(
        used=used,
        unused=unused,
        # Old files lack the batch counters, which nothing reads.
        missing=[n for n in needed if n not in found and not n.endswith("num_batches_tracked")],
        wrong=[name for name in needed if name in found and name not in used],
        foreign=[n for n in unused if _is_layer(n, names[n].removeprefix(inside), parts)],
    )


def read_weights(path: Path) -> WeightsFile:
    """Read a file of another project; nothing in it is executed.

    Args:
        path: a state dict of torch, bare or as `state_dict` or `model`, or safetensors.

    Raises:
        UserError: missing, unreadable, or without tensors.
    """
    if not path.is_file():
        raise UserError(f"The weights file {why_no_file(path)}.")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    network = content.get("arch")
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    tensors = {
        str(key).removeprefix("module."): value
        for key, value in content.items()
        if isinstance(value, Tensor)
    }
    if not tensors:
        raise UserError(f"{path} holds no state dict of weights.")
    return WeightsFile(path, tensors, network if isinstance(network, str) else _described(path))


def _read_torch(path: Path) -> dict[Any, Any]:
    try:
        with torch.serialization.safe_globals(_PLAIN):
            content = load_torch(path)
    except Exception as error:  # torch raises a dozen kinds here, all of them "not a weights file"
        raise not_weights(path, error) from None
    return content if isinstance(content, dict) else {}


def _read_safetensors(path: Path) -> dict[Any, Any]:
    require_utf8(path)
    try:
        require_length(path)
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path} is not a readable safetensors file ({error}).") from None


def _described(path: Path) -> str:
    """Return the network that a `config.json` beside a file names, as the files of timm have it."""
    beside = path.with_name("config.json")
    try:
        content = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
    except ValueError:  # another program's, and no JSON
        return ""
    name = content.get("architecture", "") if isinstance(content, dict) else ""
    return name if isinstance(name, str) else ""


def _our_name(key: str, inside: str) -> str:
    for theirs, ours in _BEHIND.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    key = key.removeprefix("backbone.")
    if key.startswith("base."):
        key = key.removeprefix("base.")
        part = key.partition(".")[0]
        key = _NUMBERED.get(part, part) + key.removeprefix(part)
    return inside + key


def _is_layer(theirs: str, ours: str, parts: set[str]) -> bool:
    """Tell whether an unused tensor is of a layer, not of a classifier or the like."""
    part = ours.partition(".")[0]
    return part not in _CLASSIFIERS and (part in parts or theirs.startswith("backbone."))
