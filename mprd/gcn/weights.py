"""Save and load relation GCNs: safetensors with shape and provenance in the header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mprd.artifacts.tensors import read_safetensors, require_shapes, save_tensors
from mprd.errors import UserError
from mprd.gcn.networks.registry import NETWORKS, GcnShape, RelationNetwork, build_network
from mprd.gcn.node_features import RELATIONAL_FEATURES
from mprd.system.shapes_only import shapes_only

SCHEMA = "mprd.gcn"
_NODE_FEATURES = ("raw", "relational")
_WIDTHS = range(1, 2**20)
_SORTED = range(10, 2**16)  # DGCNN's second convolution needs 10


def save_gcn(
    path: Path,
    network: RelationNetwork,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    seed: int,
) -> None:
    """Write weights and provenance atomically. Equal weights give equal bytes."""
    save_tensors(
        path,
        SCHEMA,
        network.state_dict(),
        architecture=network.shape.as_dict(),
        config=config,
        inputs=inputs,
        seed=seed,
    )


def load_gcn(path: Path, dim: int) -> tuple[RelationNetwork, dict[str, str]]:
    """Read a relation GCN for embeddings of a size.

    Args:
        path: `gcn.safetensors`.
        dim: embedding size D.

    Returns:
        The network in eval mode on the CPU, and the header.

    Raises:
        UserError: missing, damaged, foreign, or made for another embedding size.
    """
    header, tensors = read_safetensors(path, SCHEMA, "pretrain")
    shape = _shape(json.loads(header["architecture"]), len(tensors), path)
    wanted = dim if shape.node_features == "raw" else RELATIONAL_FEATURES
    if shape.inputs != wanted:
        raise UserError(
            f"{path} reads {shape.inputs} {shape.node_features} node features, here are {wanted} "
            "(embeddings of another backbone?). Make it again with `mprd pretrain`."
        )
    if shape.network in NETWORKS.kind.shipped:
        with shapes_only():
            require_shapes(build_network(shape).state_dict(), tensors, path)
    network = build_network(shape)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit its shape: {error}. Make it again with `mprd pretrain`."
        ) from None
    return network.eval(), header


def _shape(values: dict[str, Any], layers: int, path: Path) -> GcnShape:
    """Return the shape of a network in a header of anyone.

    Raises:
        UserError: it is none.
    """
    try:
        shape = GcnShape(**values | {k: tuple(values[k]) for k in ("hidden", "conv")})
        numbers = (shape.inputs, shape.sort_k, shape.mlp, *shape.hidden, *shape.conv)
        sound = (
            len(shape.conv) == 2
            and 0 < len(shape.hidden) <= layers
            and all(type(n) is int and n in _WIDTHS for n in numbers)
        )
        sound &= isinstance(shape.dropout, float | int) and 0 <= shape.dropout <= 1
        sound &= isinstance(shape.network, str) and shape.node_features in _NODE_FEATURES
        sound &= shape.sort_k in _SORTED
    except (KeyError, TypeError):
        sound = False
    if not sound:
        raise UserError(
            f"{path} has no shape of a relation GCN. Make it again with `mprd pretrain`."
        )
    return shape
