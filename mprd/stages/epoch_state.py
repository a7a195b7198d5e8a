"""Network, optimiser and random state: what stage `train` restores and saves."""

from pathlib import Path
from typing import Any

import torch

from mprd.artifacts.tensors import read_state, write_state
from mprd.config import Config
from mprd.errors import UserError
from mprd.models.network import ReidNetwork
from mprd.models.weights import save_network
from mprd.pipeline.layout import EpochLayout
from mprd.pipeline.settings import stage_settings


def write_network(
    out: EpochLayout,
    network: ReidNetwork,
    state: dict[str, Any],
    config: Config,
    digests: dict[str, str],
) -> None:
    """Write the network that an epoch leaves, and the state.

    Args:
        out: files of the epoch.
        network: after the epoch.
        state: of `trainer_state`.
        config: of the run.
        digests: role -> digest of all inputs of the stage.
    """
    settings = stage_settings(config, "train")
    save_network(out.model, network, config=settings, inputs=digests, seed=config.seed)
    write_state(out.state, state)


def trainer_state(
    optimizer: torch.optim.Optimizer, generator: torch.Generator, epoch: int
) -> dict[str, Any]:
    """Return what the next epoch needs beside the weights; loads with `weights_only=True`."""
    return {"optimizer": optimizer.state_dict(), "rng": generator.get_state(), "epoch": epoch}


def restore_state(
    path: Path, epoch: int, optimizer: torch.optim.Optimizer, generator: torch.Generator
) -> None:
    """Take over optimiser moments and random state; the settings are this epoch's own."""
    state = read_state(path)
    if state["epoch"] != epoch - 1:
        raise UserError(
            f"{path} is the state after epoch {state['epoch']}, epoch {epoch} needs that of "
            f"{epoch - 1}. Make it again with `mprd train`."
        )
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    try:
        optimizer.load_state_dict(state["optimizer"])
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{path} does not fit the model ({error}). Make both again with `mprd train`."
        ) from None
    for group, own in zip(optimizer.param_groups, groups, strict=True):
        group.update(own)
    generator.set_state(state["rng"])
