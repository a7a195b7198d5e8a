"""One epoch of CNN training on pseudo-labels (method steps 4 to 6)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mprd.config import TrainConfig
from mprd.data.pixels import PixelStore
from mprd.data.sampler import plan_batches
from mprd.errors import UserError
from mprd.models.network import ReidNetwork
from mprd.system.progress import progress
from mprd.training.checks import CHECK_EVERY
from mprd.training.optimizer import Adam
from mprd.training.pace import Pace
from mprd.training.sharing import from_first
from mprd.training.step import EpochTrainer
from mprd.training.step_graph import epoch_steps


@dataclass(frozen=True)
class EpochResult:
    """What an epoch of training reports.

    Attributes:
        loss: total loss of each step.
        terms: name of each loss -> its value in each step, before its weight.
        mean_positives: mean number of hard positives per image, before fallbacks.
        mean_negatives: mean number of hard negatives per image.
    """

    loss: list[float]
    terms: dict[str, list[float]]
    mean_positives: float
    mean_negatives: float


def learning_rate(settings: TrainConfig, epoch: int) -> float:
    """Return the learning rate of an epoch (1-based): a factor `lr_gamma` every `lr_step`."""
    return settings.lr * settings.lr_gamma ** ((epoch - 1) // settings.lr_step)


def make_optimizer(network: ReidNetwork, settings: TrainConfig, epoch: int) -> Adam:
    """Return Adam over all trained parameters, at the epoch's learning rate."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return Adam(
        parameters,
        lr=learning_rate(settings, epoch),
        weight_decay=settings.weight_decay,
        fused=True,
    )


def train_epoch(
    trainer: EpochTrainer,
    store: PixelStore,
    cameras: np.ndarray,
    epoch: int,
    rng: np.random.Generator,
    pace: Pace | None = None,
) -> EpochResult:
    """Run all steps of an epoch.

    Args:
        trainer: set up for this epoch; its network is trained in place.
        store: the training images.
        cameras: int (N,), for the sampler.
        epoch: 1-based, for messages.
        rng: plans the batches.
        pace: is told of each step.

    Raises:
        UserError: a loss is NaN or infinite; names epoch and step.
    """
    settings = trainer.settings
    plan = plan_batches(
        trainer.memory.labels.cpu().numpy(),
        cameras,
        iters=settings.iters,
        identities=settings.identities,
        instances=settings.instances,
        sampler=settings.sampler,
        rng=rng,
        lone_once=trainer.memory.lone_classes,
    )
    from_first(trainer.memory)
    batches = trainer.expect(plan)
    trainer.network.train()
    log = torch.zeros(settings.iters, 1 + len(settings.losses), device=trainer.device)
    with epoch_steps(trainer, store, batches, lambda why: print(f"epoch {epoch}: {why}")) as train:
        bar = progress(range(settings.iters), desc=f"epoch {epoch}", unit="step")
        for step in bar:
            log[step] = train(step)
            if pace is not None:
                pace.step(step + 1)
            if step % CHECK_EVERY == CHECK_EVERY - 1:
                _require_finite(log[: step + 1, 0], epoch, settings)
                recent = log[step + 1 - CHECK_EVERY : step + 1, 0]
                bar.set_postfix_str(f"loss {recent.mean():.3f}", refresh=False)
        _require_finite(log[:, 0], epoch, settings)
    positives, negatives = trainer.pairs.counts()
    inside = trainer.memory.labels >= 0
    total, *terms = log.cpu().T.tolist()
    return EpochResult(
        loss=total,
        terms=dict(zip(settings.losses, terms, strict=True)),
        mean_positives=float(positives[inside].double().mean()),
        mean_negatives=float(negatives[inside].double().mean()),
    )


def _require_finite(losses: Tensor, epoch: int, settings: TrainConfig) -> None:
    bad = (~torch.isfinite(losses)).nonzero()
    if len(bad):
        step = int(bad[0]) + 1
        value = "NaN" if math.isnan(float(losses[step - 1])) else "infinite"
        raise UserError(
            f"The loss is {value} in epoch {epoch}, step {step}. "
            f"Lower train.lr (now {settings.lr:g}) or raise train.temperature "
            f"(now {settings.temperature:g})."
        )
