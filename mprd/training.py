"""One epoch of CNN training on pseudo-labels (method steps 4 to 6)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from mprd.config import AugmentConfig, TrainConfig
from mprd.data.pixels import PixelStore
from mprd.data.sampler import draw_partners, plan_batches
from mprd.data.transforms import augment
from mprd.errors import UserError
from mprd.hard_pairs import HardPairs
from mprd.losses import ClusterMemory, PairList, hsd_loss, ppa_loss, random_member
from mprd.models import ReidNetwork
from mprd.runtime import training_context

if TYPE_CHECKING:
    from mprd.gcn.filter import RelationFilter

_CHECK_EVERY = 20


@dataclass
class EpochResult:
    """What an epoch of training reports.

    Attributes:
        loss: total loss of each step.
        hsd: HSD (or plain contrast) part of each step.
        ppa: PPA part of each step, before its weight; zeros when off.
        mean_positives: mean number of hard positives per image, before fallbacks.
        mean_negatives: mean number of hard negatives per image.
    """

    loss: list[float] = field(default_factory=list)
    hsd: list[float] = field(default_factory=list)
    ppa: list[float] = field(default_factory=list)
    mean_positives: float = 0.0
    mean_negatives: float = 0.0


def learning_rate(settings: TrainConfig, epoch: int) -> float:
    """Return the learning rate of an epoch (1-based): a factor `lr_gamma` every `lr_step`."""
    return settings.lr * settings.lr_gamma ** ((epoch - 1) // settings.lr_step)


def make_optimizer(network: ReidNetwork, settings: TrainConfig, epoch: int) -> torch.optim.Adam:
    """Return Adam over all trained parameters, at the epoch's learning rate."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(
        parameters,
        lr=learning_rate(settings, epoch),
        weight_decay=settings.weight_decay,
        fused=True,
    )


class EpochTrainer:
    """The state of one epoch: memories, hard pairs, optimiser, and the step itself."""

    def __init__(
        self,
        network: ReidNetwork,
        optimizer: torch.optim.Optimizer,
        features: np.ndarray,
        labels: np.ndarray,
        previous_labels: np.ndarray | None,
        settings: TrainConfig,
        augmentation: AugmentConfig,
        device: torch.device,
        generator: torch.Generator,
        relations: "Callable[[Tensor], RelationFilter] | None" = None,
    ) -> None:
        """Set up an epoch.

        Args:
            network: on `device`.
            optimizer: over the parameters of `network`.
            features: float32 (N, D), embeddings at the start of the epoch.
            labels: int32 (N,), pseudo-labels of this epoch.
            previous_labels: int32 (N,), those of the epoch before, None in epoch 1.
            settings: the `train` section.
            augmentation: the `augment` section.
            device: where to train.
            generator: random numbers for views and hard positives, on `device`.
            relations: instance memory -> the filter of hard pairs under it; None: no filter.
        """
        self.network, self.optimizer = network, optimizer
        self.settings, self.augmentation = settings, augmentation
        self.device, self.generator = device, generator
        self.labels = torch.from_numpy(labels).long().to(device)
        previous = None if previous_labels is None else torch.from_numpy(previous_labels).long()
        self.pairs = HardPairs(self.labels, None if previous is None else previous.to(device))
        self.memory = ClusterMemory(
            torch.from_numpy(features).to(device),
            self.labels,
            settings.momentum,
            settings.memory_update,
        )
        self.relations = None if relations is None else relations(self.memory.instances)

    def step(self, images: Tensor, rows: Tensor, partners: Tensor | None) -> Tensor:
        """Train on one batch.

        Args:
            images: uint8 (B, H, W, 3), or (2B, H, W, 3) with the partners behind.
            rows: int64 (B,), training rows of the first B images.
            partners: int64 (B,), rows of the second views; None without PPA.

        Returns:
            (3,): total, HSD and PPA loss, detached.
        """
        x, x_positive = self._embed(images, len(rows), partners is not None)
        losses = self.losses(x, x_positive, rows)
        self.optimizer.zero_grad(set_to_none=True)
        losses[0].backward()
        self.optimizer.step()
        self.memory.update(rows, x)
        if self.relations is not None:
            self.relations.refresh(rows)
        return losses.detach()

    def losses(self, x: Tensor, x_positive: Tensor | None, rows: Tensor) -> Tensor:
        """Return total, HSD and PPA loss as (3,).

        Args:
            x: (B, D), embeddings.
            x_positive: (B, D), embeddings of the second views, None without PPA.
            rows: int64 (B,), training rows of `x`.
        """
        settings, memory = self.settings, self.memory
        labels = self.labels[rows]
        positives, negatives = self._hard_pairs(rows)
        hsd = hsd_loss(
            x,
            labels,
            memory.prototypes,
            memory.instances,
            random_member(positives, len(rows), self.generator),
            negatives if settings.use_hsd else _none(rows),
            temperature=settings.temperature,
            mix=settings.hsd_mix if settings.use_hsd else 0.0,
            weight=settings.hsd_negative,
        )
        if x_positive is None:
            return torch.stack([hsd, hsd, hsd.new_zeros(())])
        ppa = ppa_loss(
            x,
            x_positive,
            labels,
            memory.prototypes,
            memory.instances,
            self.labels,
            positives,
            negatives,
            temperature=settings.temperature,
            mix=settings.ppa_mix,
        )
        return torch.stack([hsd + settings.ppa_weight * ppa, hsd, ppa])

    def _hard_pairs(self, rows: Tensor) -> tuple[PairList, PairList]:
        """Return the hard pairs to train on: changed, confirmed, and never without a positive."""
        positives, negatives = self.pairs.positives(rows), self.pairs.negatives(rows)
        if self.relations is not None:
            positives, negatives = self.relations(rows, positives, negatives, self.generator)
        return self.pairs.with_mates(rows, positives), negatives

    def _embed(self, images: Tensor, batch: int, pair: bool) -> tuple[Tensor, Tensor | None]:
        views = augment(images, self.augmentation, self.generator)
        # Two passes, not one of 2B: batch-norm statistics are those of a batch, as without PPA.
        with training_context(self.device):
            x = self.network(views[:batch])
            return x, self.network(views[batch:]) if pair else None


def train_epoch(
    trainer: EpochTrainer,
    store: PixelStore,
    cameras: np.ndarray,
    epoch: int,
    rng: np.random.Generator,
) -> EpochResult:
    """Run all steps of an epoch.

    Args:
        trainer: set up for this epoch; its network is trained in place.
        store: the training images.
        cameras: int (N,), for the camera-aware sampler.
        epoch: 1-based, for messages.
        rng: plans the batches.

    Raises:
        UserError: a loss is NaN or infinite; names epoch and step.
    """
    settings = trainer.settings
    labels = trainer.labels.cpu().numpy()
    plan = plan_batches(
        labels,
        cameras,
        iters=settings.iters,
        identities=settings.identities,
        instances=settings.instances,
        camera_aware=settings.camera_aware,
        rng=rng,
    )
    partners = draw_partners(labels, plan, rng) if settings.use_ppa else None
    trainer.network.train()
    log = torch.zeros(settings.iters, 3, device=trainer.device)
    for step in tqdm(range(settings.iters), desc=f"epoch {epoch}", unit="step", mininterval=5):
        rows = torch.from_numpy(plan[step])
        both = rows if partners is None else torch.cat([rows, torch.from_numpy(partners[step])])
        images = store.batch(both)
        log[step] = trainer.step(
            images, rows.to(trainer.device), None if partners is None else both[len(rows) :]
        )
        if step % _CHECK_EVERY == _CHECK_EVERY - 1:
            _require_finite(log[: step + 1, 0], epoch, settings)
    _require_finite(log[:, 0], epoch, settings)
    positives, negatives = trainer.pairs.counts()
    inside = trainer.labels >= 0
    total, hsd, ppa = log.cpu().T.tolist()
    return EpochResult(
        total,
        hsd,
        ppa,
        float(positives[inside].double().mean()),
        float(negatives[inside].double().mean()),
    )


def trainer_state(
    optimizer: torch.optim.Optimizer, generator: torch.Generator, epoch: int
) -> dict[str, Any]:
    """Return what the next epoch needs beside the weights; loads with `weights_only=True`."""
    return {"optimizer": optimizer.state_dict(), "rng": generator.get_state(), "epoch": epoch}


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


def _none(rows: Tensor) -> PairList:
    return PairList(rows[:0], rows[:0])
