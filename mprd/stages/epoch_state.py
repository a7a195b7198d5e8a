"""Networks, optimiser and random state: what stage `train` restores and saves."""

from pathlib import Path
from typing import Any, NamedTuple

import torch

from mprd.artifacts.tensors import read_state, write_state
from mprd.config import Config
from mprd.errors import UserError
from mprd.models.network import ReidNetwork
from mprd.models.weights import load_network, save_network
from mprd.pipeline.inputs import EpochInputs
from mprd.pipeline.layout import EpochLayout
from mprd.pipeline.settings import stage_settings
from mprd.training.teacher import MeanTeacher


class Networks(NamedTuple):
    """The networks of an epoch, on its device.

    Attributes:
        encoder: made the features of the epoch: the teacher, or the network in training itself.
        student: is trained.
        teacher: follows the student; None without one.
        digests: role -> digest of the files.
    """

    encoder: ReidNetwork
    student: ReidNetwork
    teacher: MeanTeacher | None
    digests: dict[str, str]


def read_networks(inputs: EpochInputs, config: Config, device: torch.device) -> Networks:
    """Read the networks that an epoch begins with; in epoch 1 student and teacher are alike.

    Args:
        inputs: files of the epoch.
        config: `precision` and `train` are read.
        device: where they will compute.
    """
    encoder, header = load_network(inputs.model, config.precision)
    encoder = encoder.to(device)
    digests = {"model": header["digest"]}
    if not config.train.has_teacher:
        student = encoder.to(memory_format=torch.channels_last)
        return Networks(student, student, None, digests)
    student, header = load_network(inputs.student or inputs.model, config.precision)
    student = student.to(device).to(memory_format=torch.channels_last)
    if inputs.student is not None:
        digests["student"] = header["digest"]
    teacher = MeanTeacher(encoder, config.train.teacher_momentum)
    return Networks(encoder, student, teacher, digests)


def write_networks(
    out: EpochLayout,
    networks: Networks,
    state: dict[str, Any],
    config: Config,
    digests: dict[str, str],
) -> None:
    """Write the model that an epoch leaves, the student beside a teacher, and the state.

    Args:
        out: files of the epoch.
        networks: after the epoch.
        state: of `trainer_state`.
        config: of the run.
        digests: role -> digest of all inputs of the stage.
    """
    settings = stage_settings(config, "train")
    files = {out.model: networks.encoder}
    if networks.teacher is not None:
        files[out.student] = networks.student
    for path, network in files.items():
        save_network(path, network, config=settings, inputs=digests, seed=config.seed)
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
