"""What the input of a network is normalised by: as its weights were trained."""

import dataclasses
from pathlib import Path

from mprd.models.backbones.registry import Architecture
from mprd.models.backbones.timm import SHIPPED
from mprd.models.backbones.timm_source import (
    TIMM,
    TimmSource,
    described_source,
    hub_name,
    named_source,
)
from mprd.models.weights_file import stored_architecture


def with_own_input(architecture: Architecture, checkpoint: Path | None = None) -> Architecture:
    """Return an architecture with what its network's input is normalised by.

    The first of these that there is decides: a model of ours that the network starts from, a
    `config.json` beside the weights file, the hub, timm, ImageNet.

    Args:
        architecture: for a run.
        checkpoint: weights file that the network starts from.

    Raises:
        UserError: the hub cannot be reached, or has no such network of timm.
    """
    ours = stored_architecture(checkpoint) if checkpoint else None
    if ours is not None and ours.backbone == architecture.backbone:
        return dataclasses.replace(architecture, mean=ours.mean, std=ours.std, timm=ours.timm)
    name = architecture.backbone
    # Every figure in the documentation has ImageNet's with these weights.
    if not name.startswith(TIMM) or name.removeprefix(TIMM) in SHIPPED:
        return architecture
    source = (beside(checkpoint, name) if checkpoint else None) or named_source(name)
    return architecture if source is None else source.describe(architecture)


def beside(checkpoint: Path, backbone: str) -> TimmSource | None:
    """Return what the `config.json` beside a weights file says of a backbone; None: nothing."""
    config = checkpoint.with_name("config.json")
    source = described_source(config) if config.is_file() else None
    if source is None:
        return None
    same = source.network == backbone.removeprefix(TIMM).partition(".")[0]
    return source if same or hub_name(backbone) else None
