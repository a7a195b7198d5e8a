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
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    epoch: int,
    weights: dict[str, torch.Tensor] | None,
) -> dict[str, Any]:
    """Return what the next epoch needs beside the model; loads with `weights_only=True`.

    Args:
        optimizer: after the epoch.
        generator: likewise.
        epoch: 1-based.
        weights: state dict of the network, where the model is a mean of several.
    """
    state = {"optimizer": optimizer.state_dict(), "rng": generator.get_state(), "epoch": epoch}
    return state if weights is None else state | {"weights": weights}


def restore_state(
    path: Path,
    epoch: int,
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    network: ReidNetwork | None,
) -> None:
    """Take over optimiser moments and random state; the settings are this epoch's own.

    Args:
        path: `state.pt` of the epoch before.
        epoch: 1-based.
        optimizer: changed in place.
        generator: likewise.
        network: likewise; it gets the weights of the state. None: it has them.

    Raises:
        UserError: the state of another epoch, of another network, or without weights.
    """
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
        raise _unfit(path, error) from None
    if network is not None:
        _restore_weights(network, state, path)
    for group, own in zip(optimizer.param_groups, groups, strict=True):
        group.update(own)
    generator.set_state(state["rng"])


def _restore_weights(network: ReidNetwork, state: dict[str, Any], path: Path) -> None:
    if "weights" not in state:
        raise UserError(
            f"{path} holds no weights: train.average_from was not the same then. "
            "Make it again with `mprd train`."
        )
    try:
        network.load_state_dict(state["weights"])
    except (RuntimeError, TypeError) as error:
        raise _unfit(path, error) from None


def _unfit(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} does not fit the model ({error}). Make both again with `mprd train`.")
