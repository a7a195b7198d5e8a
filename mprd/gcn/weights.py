"""Save and load relation GCNs: safetensors with shape and provenance in the header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mprd.artifacts.tensors import read_safetensors, save_tensors
from mprd.errors import UserError
from mprd.gcn.networks.registry import GcnShape, RelationNetwork, build_network
from mprd.gcn.node_features import RELATIONAL_FEATURES

SCHEMA = "mprd.gcn"


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
    values = json.loads(header["architecture"])
    shape = GcnShape(**values | {k: tuple(values[k]) for k in ("hidden", "conv")})
    wanted = dim if shape.node_features == "raw" else RELATIONAL_FEATURES
    if shape.inputs != wanted:
        raise UserError(
            f"{path} reads {shape.inputs} {shape.node_features} node features, here are {wanted} "
            "(embeddings of another backbone?). Make it again with `mprd pretrain`."
        )
    network = build_network(shape)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit its shape: {error}. Make it again with `mprd pretrain`."
        ) from None
    return network.eval(), header
