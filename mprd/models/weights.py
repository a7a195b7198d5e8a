"""Save and load networks: safetensors with the architecture and provenance in the header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mprd.artifacts.tensors import read_safetensors, save_tensors
from mprd.errors import UserError, why_no_file
from mprd.models.backbones.registry import Architecture
from mprd.models.backbones.timm import TimmTrunk
from mprd.models.network import Precision, ReidNetwork

SCHEMA = "mprd.model"


def save_network(
    path: Path,
    network: ReidNetwork,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int | None,
) -> None:
    """Write weights and provenance atomically. Equal weights give equal bytes."""
    save_tensors(
        path,
        SCHEMA,
        network.state_dict(),
        architecture=network.architecture.as_dict(),
        config=config,
        inputs=inputs,
        seed=seed,
    )


def read_architecture(path: Path) -> tuple[Architecture, dict[str, Any]]:
    """Return the architecture of a model, and the settings that its last stage read."""
    header, _ = read_safetensors(path, SCHEMA, "init")
    return Architecture(**json.loads(header["architecture"])), json.loads(header["config"])


def add_card(model: Path, out: Path, card: str) -> None:
    """Write a model again, with a card in its header; weights and digest stay.

    Args:
        model: a file of `save_network`.
        out: file to write.
        card: Markdown.

    Raises:
        UserError: not one of our models.
    """
    header, tensors = read_safetensors(model, SCHEMA, "init")
    seed = int(header["seed"])
    save_tensors(
        out,
        SCHEMA,
        tensors,
        architecture=json.loads(header["architecture"]),
        config=json.loads(header["config"]),
        inputs=json.loads(header["inputs"]),
        seed=None if seed < 0 else seed,
        card=card,
    )


def load_network(path: Path, precision: Precision = "auto") -> tuple[ReidNetwork, dict[str, str]]:
    """Read a network that `save_network` wrote.

    Args:
        path: the file.
        precision: in which it will compute.

    Returns:
        The network in eval mode on the CPU, and the header.

    Raises:
        UserError: missing, damaged, foreign, or holding NaN.
    """
    header, tensors = read_safetensors(path, SCHEMA, "init")
    network = ReidNetwork(Architecture(**json.loads(header["architecture"])))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(f"{path} does not fit its architecture: {error}") from None
    network.precision = precision
    return network.eval(), header


def load_checkpoint(network: ReidNetwork, path: Path) -> list[str]:
    """Start a network from a weights file: one of ours, or a backbone's state dict.

    A foreign file (`.pth`, torchvision or IBN-Net naming, with or without the prefixes
    `module.`, `backbone.`) must hold every weight of the backbone; its classifier is ignored.

    Returns:
        The keys of the file that were not used.

    Raises:
        UserError: unreadable, or weights are missing or of another shape.
    """
    if path.suffix == ".safetensors":
        header, tensors = read_safetensors(path, SCHEMA, "init")
        theirs = json.loads(header["architecture"])["backbone"]
        if theirs != network.architecture.backbone:
            raise UserError(
                f"{path} holds a {theirs}, the config asks for "
                f"{network.architecture.backbone}. Set model.backbone to {theirs}."
            )
        return _load_into(network, tensors, path)
    # A timm file names the tensors of timm's own network, inside our trunk.
    backbone = network.backbone
    module = backbone.network if isinstance(backbone, TimmTrunk) else backbone
    return _load_into(module, _read_state_dict(path), path)


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{why_no_file(path)}. Set init.checkpoint to a weights file.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises a dozen kinds here, all of them "not a weights file"
        raise UserError(
            f"{path} is not a weights file that can be read safely: {str(error).splitlines()[0]}"
        ) from None
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path} holds no state dict of weights.")
    prefixes = ("module.", "backbone.", "base.")
    tensors = {}
    for key, value in content.items():
        for prefix in prefixes:
            key = key.removeprefix(prefix)
        if isinstance(value, Tensor):
            tensors[key] = value
    return tensors


def _load_into(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> list[str]:
    wanted = module.state_dict()
    # Old files lack the batch counters, which nothing reads.
    missing = [k for k in wanted if k not in tensors and not k.endswith("num_batches_tracked")]
    wrong = [k for k in wanted if k in tensors and tensors[k].shape != wanted[k].shape]
    if missing or wrong:
        what = f"lacks {missing[0]}" if missing else f"has another shape at {wrong[0]}"
        raise UserError(
            f"{path} {what} ({len(missing)} weights missing, {len(wrong)} of another shape). "
            "Give a file of the same backbone, or set model.backbone and model.pooling to fit."
        )
    module.load_state_dict({k: v for k, v in tensors.items() if k in wanted}, strict=False)
    return sorted(set(tensors) - set(wanted))
