"""How large a network is that a file asks for, before memory is taken for it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mprd.artifacts.tensors import require_shapes
from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture
from mprd.models.backbones.timm_source import TIMM
from mprd.models.network import ReidNetwork
from mprd.system.shapes_only import shapes_only


def require_room(architecture: Architecture, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Check that a file holds what its architecture needs, before memory is taken for it.

    A network of timm can be of any size, and arguments can make it larger. It is built without
    values first, and compared with the tensors. Other networks are of a size that mprd knows.

    Args:
        architecture: that the header of the file names.
        tensors: in the file.
        path: of the file, for messages.

    Raises:
        UserError: they do not fit.
    """
    if not architecture.backbone.startswith(TIMM):
        return
    largest = max(
        [len(tensors), *(n for t in tensors.values() for n in t.shape), *_sides(architecture)]
    )
    if architecture.timm and _largest(json.loads(architecture.timm)["arguments"]) > largest:
        raise UserError(f"{path} does not fit its architecture: it asks for a larger network.")
    try:
        with shapes_only():
            state = ReidNetwork(architecture).state_dict()
    except UserError as error:
        raise UserError(f"{path} holds a network that cannot be built: {error}") from None
    require_shapes(state, tensors, path)


def _sides(architecture: Architecture) -> tuple[int, int]:
    return architecture.height, architecture.width


def _largest(value: Any) -> float:
    """Return the largest number, or the longest list, in nested arguments."""
    if isinstance(value, dict | list):
        inside = value.values() if isinstance(value, dict) else value
        return max([len(value), *map(_largest, inside)])
    return abs(value) if isinstance(value, int | float) else 0
