"""How long a training step takes on this machine, measured before a config is written."""

import time

import torch

from mprd.config import validate
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork, architecture_of
from mprd.starter.recipe import Recipe
from mprd.starter.start import Start
from mprd.system.torch_setup import select_device

_DEFAULT = "timm/tf_efficientnet_lite0"  # as start.yaml.j2 says
_WARM, _TIMED = 1, 2  # steps


def measured_step(plan: Recipe, start: Start | None) -> float:
    """Return how long a training step of a run takes.

    Args:
        plan: settings of the run.
        start: its weights; None: those of EfficientNet-lite0.
    """
    default = validate({"model": {"backbone": _DEFAULT}}, "the start")
    shape = start.architecture if start else architecture_of(default, plan.height, plan.width)
    return step_seconds(shape, plan.identities * plan.instances)


def step_seconds(architecture: Architecture, batch: int) -> float:
    """Return how long a network takes for a training step, with random weights and images.

    Args:
        architecture: of the network.
        batch: images of a step.
    """
    device = select_device("auto")
    network = ReidNetwork(architecture).to(device).train()
    optimizer = torch.optim.Adam(network.parameters())
    images = torch.rand(batch, 3, architecture.height, architecture.width, device=device)
    began = 0.0
    for step in range(_WARM + _TIMED):
        if step == _WARM:
            began = time.perf_counter()
        optimizer.zero_grad()
        loss = network(images).var()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
    return (time.perf_counter() - began) / _TIMED
