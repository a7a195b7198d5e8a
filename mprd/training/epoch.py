"""One epoch of CNN training on pseudo-labels (method steps 4 to 6)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mprd.config import AugmentConfig, TrainConfig
from mprd.data.pixels import PixelStore
from mprd.data.sampler import plan_batches
from mprd.data.transforms import augment
from mprd.errors import UserError
from mprd.losses.memories.registry import Memory
from mprd.losses.registry import LOSSES, LossInputs
from mprd.models.network import ReidNetwork
from mprd.pairs.hard_pairs import HardPairs, PairFilter
from mprd.pairs.pair_list import PairList, random_member, without
from mprd.system.progress import progress
from mprd.training.optimizer import Adam
from mprd.training.sharing import add_gradients, embed

_CHECK_EVERY = 20


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


@dataclass(frozen=True)
class StepPairs:
    """The pairs that a batch is trained on.

    Attributes:
        positives: hard positives, at least one for each image; none without HSD and PPA.
        negatives: hard negatives.
        hard_positive: int64 (B,), training row of one hard positive of each image.
        partners: int64 (B,), training row of the image that PPA aligns each image with.
    """

    positives: PairList
    negatives: PairList
    hard_positive: Tensor
    partners: Tensor | None


class EpochTrainer:
    """The training steps of one epoch.

    Attributes:
        network: trained in place.
        memory: instances, prototypes and labels of the epoch.
        pairs: hard pairs of the epoch.
        settings: the `train` section.
    """

    def __init__(
        self,
        *,
        network: ReidNetwork,
        optimizer: torch.optim.Optimizer,
        memory: Memory,
        pairs: HardPairs,
        settings: TrainConfig,
        augmentation: AugmentConfig,
        generator: torch.Generator,
        pair_filter: PairFilter | None = None,
    ) -> None:
        """Set up an epoch.

        Args:
            network: on the device of `memory`.
            optimizer: over the parameters of `network`.
            memory: at the start of the epoch; changed by each step.
            pairs: hard pairs of the epoch.
            settings: the `train` section.
            augmentation: the `augment` section.
            generator: random numbers for views and hard positives, on the same device.
            pair_filter: chooses among hard pairs; None: all are trained on.
        """
        self.network, self.memory, self.pairs, self.settings = network, memory, pairs, settings
        self._optimizer, self._augmentation = optimizer, augmentation
        self._generator, self._filter = generator, pair_filter
        self._weights = settings.losses

    @property
    def device(self) -> torch.device:
        """Where the epoch is trained."""
        return self.memory.instances.device

    def step(self, store: PixelStore, rows: Tensor, following: np.ndarray | None = None) -> Tensor:
        """Train on one batch.

        Args:
            store: the training images.
            rows: int64 (B,), training rows.
            following: int64 (B,), those of the next step, to be read meanwhile.

        Returns:
            (1 + L,): the total and each of the L losses, detached.
        """
        pairs = self.choose_pairs(rows)
        images = store.batch(rows)
        if pairs.partners is not None:
            images = torch.cat([images, store.batch(pairs.partners)])
        if following is not None:
            store.ahead(following)
        x, x_partner = self._embed(images, len(rows))
        losses = self.losses(x, x_partner, rows, pairs)
        self._optimizer.zero_grad(set_to_none=True)
        losses[0].backward()
        add_gradients(self.network.parameters())
        self._optimizer.step()
        self.memory.update(rows, x)
        if self._filter is not None:
            self._filter.refresh(rows)
        return losses.detach()

    def losses(self, x: Tensor, x_partner: Tensor | None, rows: Tensor, pairs: StepPairs) -> Tensor:
        """Return the total and each loss as (1 + L,).

        Args:
            x: (B, D), embeddings.
            x_partner: (B, D), embeddings of the partners, None without PPA.
            rows: int64 (B,), training rows of `x`.
            pairs: of these rows.
        """
        batch = LossInputs(
            x=x,
            x_partner=x_partner,
            labels=self.memory.labels[rows],
            memory=self.memory,
            rows=rows,
            hard_positive=pairs.hard_positive,
            positives=pairs.positives,
            negatives=pairs.negatives,
        )
        values = [LOSSES[name](batch, self.settings) for name in self._weights]
        weighted = (w * value for w, value in zip(self._weights.values(), values, strict=True))
        return torch.stack([sum(weighted, torch.zeros((), device=x.device)), *values])

    def choose_pairs(self, rows: Tensor) -> StepPairs:
        """Choose the pairs of a batch: hard ones that the filter confirms, and partners.

        An image whose hard positives are all rejected takes its other mates, an image without any
        takes itself. A partner is a mate that was not rejected.

        Args:
            rows: int64 (B,), training rows.
        """
        none = PairList(rows[:0], rows[:0])
        if not self.settings.uses_pairs:
            return StepPairs(none, none, rows, None)
        positives, negatives = self.pairs.positives(rows), self.pairs.negatives(rows)
        rejected = none
        if self._filter is not None:
            keep, keep_negative = self._filter(rows, positives, negatives, self._generator)
            rejected = positives.part(~keep)
            positives, negatives = positives.part(keep), negatives.part(keep_negative)
        positives = self.pairs.with_mates(rows, positives, rejected)
        partners = None
        if self.settings.use_ppa:
            mates = without(self.pairs.mates(rows), rejected)
            partners = random_member(self.pairs.or_self(rows, mates), self._generator)[1]
        hard_positive = random_member(positives, self._generator)[1]
        return StepPairs(positives, negatives, hard_positive, partners)

    def _embed(self, images: Tensor, batch: int) -> tuple[Tensor, Tensor | None]:
        views = augment(images, self._augmentation, self._generator)
        # Two passes, not one of 2B: batch-norm statistics are those of a batch, as without PPA.
        x = embed(self.network, views[:batch])
        return x, embed(self.network, views[batch:]) if len(views) > batch else None


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
        cameras: int (N,), for the sampler.
        epoch: 1-based, for messages.
        rng: plans the batches.

    Raises:
        UserError: a loss is NaN or infinite; names epoch and step.
    """
    settings = trainer.settings
    labels = trainer.memory.labels.cpu().numpy()
    plan = plan_batches(
        labels,
        cameras,
        iters=settings.iters,
        identities=settings.identities,
        instances=settings.instances,
        sampler=settings.sampler,
        rng=rng,
        lone_once=trainer.memory.lone_classes,
    )
    trainer.network.train()
    log = torch.zeros(settings.iters, 1 + len(settings.losses), device=trainer.device)
    bar = progress(range(settings.iters), desc=f"epoch {epoch}", unit="step")
    for step in bar:
        rows = torch.from_numpy(plan[step]).to(trainer.device)
        following = plan[step + 1] if step + 1 < settings.iters else None
        log[step] = trainer.step(store, rows, following)
        if step % _CHECK_EVERY == _CHECK_EVERY - 1:
            _require_finite(log[: step + 1, 0], epoch, settings)
            recent = log[step + 1 - _CHECK_EVERY : step + 1, 0]
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
