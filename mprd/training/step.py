"""One training step on pseudo-labels: views, embeddings, losses, optimiser, memory.

A step asks nothing back from the device and uploads nothing to it, so the host runs ahead of a GPU,
and the step can be recorded (`step_graph.py`).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mprd.config import AugmentConfig, TrainConfig
from mprd.data.pixels import PixelStore
from mprd.data.transforms import augment
from mprd.losses.memories.registry import LooksAhead, Memory
from mprd.losses.registry import LOSSES, LossInputs
from mprd.models.network import ReidNetwork
from mprd.pairs.batches import Batch, Batches
from mprd.pairs.hard_pairs import HardPairs, PairFilter
from mprd.pairs.pair_list import random_choice
from mprd.training.sharing import add_gradients, embed


@dataclass(frozen=True)
class StepPairs:
    """The pairs that a batch is trained on.

    Attributes:
        members: int64 (U,), training rows among which the pairs are, -1: none; no row without HSD
            and PPA.
        positive: bool (B, U), hard positives, at least one for each image.
        negative: bool (B, U), hard negatives.
        hard_positive: int64 (B,), training row of one hard positive of each image.
        partners: int64 (B,), training row of the image that PPA aligns each image with.
    """

    members: Tensor
    positive: Tensor
    negative: Tensor
    hard_positive: Tensor
    partners: Tensor | None


class EpochTrainer:
    """The training steps of one epoch.

    Attributes:
        network: trained in place.
        memory: instances, prototypes and labels of the epoch.
        pairs: hard pairs of the epoch.
        settings: the `train` section.
        optimizer: over the parameters of `network`.
        generator: random numbers for views and hard positives, on the same device.
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
        self.optimizer, self._augmentation = optimizer, augmentation
        self.generator, self._filter = generator, pair_filter
        self._weights = settings.losses

    @property
    def filters(self) -> bool:
        """Whether a filter chooses among hard pairs."""
        return self._filter is not None

    @property
    def device(self) -> torch.device:
        """Where the epoch is trained."""
        return self.memory.instances.device

    def expect(self, batches: np.ndarray) -> Batches:
        """Prepare for the batches of the epoch, before the first.

        Args:
            batches: int64 (S, B), training rows of each step.
        """
        rows = torch.from_numpy(batches).to(self.device)
        members = self.pairs.members(rows) if self.settings.uses_pairs else None
        if isinstance(self.memory, LooksAhead):
            self.memory.expect(rows)
        if self._filter is not None and members is not None:
            self._filter.expect(self.pairs, rows, members)
        return Batches(batches, rows, members)

    def step(self, store: PixelStore, batch: Batch) -> Tensor:
        """Train on one batch. Nothing is asked back from the device, and nothing is uploaded to it.

        Where the images are not on the device, they are; and the partners of PPA are asked back.

        Args:
            store: the training images.
            batch: of the epoch.

        Returns:
            (1 + L,): the total and each of the L losses, detached.
        """
        pairs = self.choose_pairs(batch)
        images = store.batch(batch.rows if store.resident else batch.host)
        if pairs.partners is not None:
            images = torch.cat([images, store.batch(pairs.partners)])
        if batch.following is not None:
            store.ahead(batch.following)
        x, x_partner = self._embed(images, len(batch.rows))
        losses = self.losses(x, x_partner, batch.rows, pairs)
        self.optimizer.zero_grad(set_to_none=True)
        losses[0].backward()
        add_gradients(self.network.parameters())
        self.optimizer.step()
        self.memory.update(batch.rows, x)
        if self._filter is not None:
            self._filter.refresh()
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
            members=pairs.members,
            positive=pairs.positive,
            negative=pairs.negative,
        )
        values = [LOSSES[name](batch, self.settings) for name in self._weights]
        weighted = (w * value for w, value in zip(self._weights.values(), values, strict=True))
        return torch.stack([sum(weighted, torch.zeros((), device=x.device)), *values])

    def choose_pairs(self, batch: Batch) -> StepPairs:
        """Choose the pairs of a batch: hard ones that the filter confirms, and partners.

        An image whose hard positives are all rejected takes its other mates, an image without any
        takes itself. A partner is a mate that was not rejected.

        Args:
            batch: of the epoch.
        """
        rows, members = batch.rows, batch.members
        if not self.settings.uses_pairs:
            none = torch.empty(len(rows), 0, dtype=torch.bool, device=rows.device)
            return StepPairs(members, none, none, rows, None)
        pairs = self.pairs.of_batch(rows, members)
        keep, negative = pairs.positive, pairs.negative
        if self._filter is not None:
            keep, keep_negative = self._filter(pairs, self.generator)
            negative = negative & keep_negative
        rejected = pairs.positive & ~keep
        partners = None
        if self.settings.use_ppa:
            mates = pairs.or_self(pairs.mate & ~rejected)
            partners = members[random_choice(mates, self.generator)]
        positive = pairs.positives_left(rejected)
        hard_positive = members[random_choice(positive, self.generator)]
        return StepPairs(members, positive, negative, hard_positive, partners)

    def _embed(self, images: Tensor, batch: int) -> tuple[Tensor, Tensor | None]:
        views = augment(images, self._augmentation, self.network.statistics, self.generator)
        # Two passes, not one of 2B: batch-norm statistics are those of a batch, as without PPA.
        x = embed(self.network, views[:batch])
        return x, embed(self.network, views[batch:]) if len(views) > batch else None
