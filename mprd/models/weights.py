"""Save and load networks: safetensors with the architecture and provenance in the header."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mprd.artifacts.tensors import read_safetensors, require_shapes, save_tensors
from mprd.errors import UserError, many
from mprd.models.backbones.registry import Architecture
from mprd.models.judged import parse_architecture
from mprd.models.network import Precision, ReidNetwork
from mprd.models.recognition import recognise
from mprd.models.room import require_room
from mprd.models.weights_file import (
    SCHEMA,
    Fit,
    WeightsFile,
    backbone_prefix,
    fit,
    is_ours,
    read_weights,
)

_NAMED = 10  # tensors that a message lists


class Loaded(NamedTuple):
    """What a network took from a weights file.

    Attributes:
        used: number of tensors.
        unused: names of the others, sorted.
    """

    used: int
    unused: list[str]

    @property
    def total(self) -> int:
        """Return the number of tensors in the file."""
        return self.used + len(self.unused)

    def __str__(self) -> str:
        """Return it in words."""
        if not self.unused:
            return f"all of its {self.total} tensors used"
        more = len(self.unused) - _NAMED
        names = ", ".join(self.unused[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{self.used} of its {self.total} tensors used, all but {names}"


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
    return header_architecture(header, path), json.loads(header["config"])


def header_architecture(header: Mapping[str, str], path: Path) -> Architecture:
    """Return the architecture that the header of a model names.

    Raises:
        UserError: it is none.
    """
    try:
        return parse_architecture(json.loads(header["architecture"]))
    except ValueError as error:
        raise UserError(f"{path} is no model that mprd wrote: {error}.") from None


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


def load_network(
    path: Path,
    precision: Precision = "auto",
    build: Callable[[Architecture], ReidNetwork] = ReidNetwork,
) -> tuple[ReidNetwork, dict[str, str]]:
    """Read a network that `save_network` wrote.

    Args:
        path: the file.
        precision: in which it will compute.
        build: returns a network whose weights do not count.

    Returns:
        The network in eval mode, on the CPU unless `build` has it elsewhere, and the header.

    Raises:
        UserError: missing, damaged, foreign, or holding NaN.
    """
    header, tensors = read_safetensors(path, SCHEMA, "init")
    architecture = header_architecture(header, path)
    require_room(architecture, tensors, path)
    try:
        network = build(architecture)
    except UserError as error:
        raise UserError(f"{path} holds a network that cannot be built: {error}") from None
    require_shapes(network.state_dict(), tensors, path)
    network.load_state_dict(tensors)
    network.precision = precision
    return network.eval(), header


def load_checkpoint(network: ReidNetwork, path: Path) -> Loaded:
    """Start a network from a weights file: one of ours, or one of another project.

    A file of another project must hold every weight of the backbone. A BNNeck and the exponent of
    a pooling are taken where they fit; its classifier is not used.

    Raises:
        UserError: unreadable, of another architecture, or weights are missing or of another shape.
    """
    wanted = network.state_dict()
    if is_ours(path):
        header, tensors = read_safetensors(path, SCHEMA, "init")
        theirs = header_architecture(header, path).backbone
        if theirs != network.architecture.backbone:
            raise UserError(_other(path, theirs, network.architecture.backbone))
        found = fit(tensors, {name: name for name in tensors}, wanted, "")
        if not found.good:
            raise UserError(_lacking(path, found))
    else:
        file, inside = read_weights(path), backbone_prefix(network.backbone)
        found = fit(file.tensors, file.names(inside), wanted, inside)
        if not found.good:
            raise UserError(_unfit(file, found, network.architecture))
    network.load_state_dict(found.used, strict=False)
    return Loaded(len(found.used), found.unused)


def _unfit(file: WeightsFile, found: Fit, wanted: Architecture) -> str:
    """Return why a file of another project cannot be the start of a network."""
    seen, size = recognise(file), (wanted.height, wanted.width)
    if seen is not None and seen.backbone != wanted.backbone:
        return _other(file.path, seen.backbone, wanted.backbone)
    if seen is None or seen.size in (None, size):
        return _lacking(file.path, found)
    height, width = seen.size
    return (
        f"{file.path} is for images of {height}x{width} pixels, not {size[0]}x{size[1]}. "
        f"Set data.height to {height} and data.width to {width}."
    )


def _other(path: Path, theirs: str, ours: str) -> str:
    article = "an" if theirs.startswith("osnet") else "a"
    return (
        f"{path} holds {article} {theirs}, the config asks for {ours}. "
        f"Set model.backbone to {theirs}."
    )


def _lacking(path: Path, found: Fit) -> str:
    if found.missing:
        what = f"lacks {found.missing[0].removeprefix('backbone.')}"
    elif found.wrong:
        what = f"has another shape at {found.wrong[0].removeprefix('backbone.')}"
    else:
        what = f"has layers that the network lacks, such as {found.foreign[0]}"
    return (
        f"{path} {what} ({many(len(found.missing), 'weight')} missing, {len(found.wrong)} of "
        f"another shape, {len(found.foreign)} of other layers). Give a file of the same backbone, "
        "or set model.backbone and model.pooling to fit."
    )
