"""The relation filter of the training loop (method step 5), and its record."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mprd.gcn.asked import AskedPairs
from mprd.gcn.calibration import at_prior
from mprd.gcn.judge import Judge
from mprd.pairs.hard_pairs import BatchPairs, HardPairs, Members
from mprd.pairs.pair_list import canonical, masked_argmin, random_choice

_RESCALE_STEPS = 10


@dataclass(frozen=True)
class _Plan:
    """The batches of an epoch, and what each asks."""

    pairs: HardPairs
    batches: Tensor
    members: Members
    asked: list[AskedPairs]

    def of_step(self, step: int) -> BatchPairs:
        """Return the pairs of a batch."""
        return self.pairs.of_batch(self.batches[step], self.members.of_step(step))


@dataclass
class RelationFilter:
    """Keeps the hard pairs whose cluster relation the GCN confirms, under the current memory.

    A hard positive is kept if p >= 0.5, a hard negative if p < 0.5, with p at the positive rate
    of the doubtful pairs of the epoch: tasks are balanced, doubtful pairs are not.

    Attributes:
        judge: the GCN in this epoch.
        sample: int64 (P, 2), pairs on which relational features are standardised anew.
        prior: estimated positive rate of the doubtful pairs.
    """

    judge: Judge
    sample: Tensor
    prior: float = 0.5
    _plan: _Plan | None = None
    _log: list[Tensor] = field(default_factory=list)
    _collected: list[tuple[Tensor, Tensor, bool]] = field(default_factory=list)

    def expect(self, pairs: HardPairs, batches: Tensor, members: Members) -> None:
        """List what each batch of an epoch will ask, before the first.

        Args:
            pairs: hard pairs of the epoch.
            batches: int64 (S, B), training rows of each step.
            members: of these batches.
        """
        each = (pairs.of_batch(rows, members.of_step(step)) for step, rows in enumerate(batches))
        asked = [AskedPairs.of_batch(batch, len(pairs)) for batch in each]
        self._plan = _Plan(pairs, batches, members, asked)

    def __call__(self, pairs: BatchPairs, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Judge the next batch's hard pairs; note them, and one pair of each answer per anchor.

        Args:
            pairs: of the batch.
            generator: on its device; chooses among kept positives.

        Returns:
            Which hard positives and which hard negatives are kept, bool (B, U) each.
        """
        asked = self._expected.asked[len(self._log)]
        probability = at_prior(self.judge.shared_probability(asked.pairs), self.prior)
        self._log.append(probability)
        spread = asked.spread(probability, pairs)
        keep, keep_negative = pairs.positive & (spread >= 0.5), pairs.negative & (spread < 0.5)
        self._take(pairs, keep, random_choice(keep, generator), True)
        # Both answers from inside clusters: a negative from elsewhere would be told by that alone.
        refuted = (pairs.positive & ~keep) | keep_negative
        memory = self.judge.context.memory
        alike = memory[pairs.rows] @ memory[pairs.members].T
        self._take(pairs, refuted, masked_argmin(-alike, refuted), False)
        return keep, keep_negative

    def refresh(self) -> None:
        """Take note that the batch went into the memory.

        All similarities drift as it changes, so every 10 steps features are standardised anew.
        """
        step = len(self._log)
        self.judge.refresh(self._expected.asked[step - 1].rows)
        if step % _RESCALE_STEPS == 0:
            self.judge.rescale(self.sample)

    def collected(self) -> tuple[Tensor, Tensor]:
        """Return the distinct pairs collected: int64 (n, 2), and the answers bool (n,)."""
        device = self.sample.device
        if not self._collected:
            return torch.empty(0, 2, dtype=torch.int64, device=device), torch.empty(
                0, dtype=torch.bool, device=device
            )
        pairs, same = [], []
        for found, valid, answer in self._collected:
            pairs.append(canonical(found[valid]))
            same.append(torch.full((len(pairs[-1]), 1), int(answer), device=device))
        keyed = torch.unique(torch.cat([torch.cat(pairs), torch.cat(same)], dim=1), dim=0)
        return keyed[:, :2], keyed[:, 2].bool()

    def record(self, identity: np.ndarray) -> tuple[dict[str, Any], dict[str, float]]:
        """Return the arrays and attributes of `relations.h5`.

        Args:
            identity: int (N,), -1 unknown; for the record only.
        """
        i, j, now, before, probability, step = self._columns()
        kept = np.where(now, probability >= 0.5, probability < 0.5)
        known = (identity[i] >= 0) & (identity[j] >= 0)
        same = np.where(known, identity[i] == identity[j], -1).astype(np.int8)
        context = self.judge.context
        device = self.sample.device
        camera = context.same_camera(*(torch.from_numpy(x).to(device) for x in (i, j)))
        arrays = {
            "step": step.astype(np.int32),
            "i": i.astype(np.int32),
            "j": j.astype(np.int32),
            "now": now.astype(np.uint8),
            "before": before.astype(np.uint8),
            "probability": probability.astype(np.float32),
            "kept": kept.astype(np.uint8),
            "same": same,
            "same_camera": camera.cpu().numpy().astype(np.uint8),
        }
        return arrays, {
            **_summary("positive", now, kept, same, 1),
            **_summary("negative", ~now, kept, same, 0),
            "prior": self.prior,
        }

    @property
    def _expected(self) -> _Plan:
        if self._plan is None:
            raise ValueError("The filter does not know the batches of the epoch yet.")
        return self._plan

    def _take(self, pairs: BatchPairs, chosen: Tensor, column: Tensor, same: bool) -> None:
        """Collect one pair of each image that has any."""
        found = torch.stack([pairs.rows, pairs.members[column]], dim=1)
        self._collected.append((found, chosen.any(dim=1), same))

    def _columns(self) -> tuple[np.ndarray, ...]:
        """Return i, j, now, before, probability and step of all judged pairs."""
        none = torch.empty(0, dtype=torch.int64)
        parts = [[none], [none], [none], [torch.empty(0)], [none]]
        for step, probability in enumerate(self._log):
            pairs = self._expected.of_step(step)
            spread = self._expected.asked[step].spread(probability, pairs)
            for now, mask in ((True, pairs.positive), (False, pairs.negative)):
                row, column = mask.nonzero(as_tuple=True)
                found = [pairs.rows[row], pairs.members[column], torch.full_like(row, now)]
                found += [spread[row, column], torch.full_like(row, step + 1)]
                for part, values in zip(parts, found, strict=True):
                    part.append(values.cpu())
        i, j, kind, judged, when = (torch.cat(part).numpy() for part in parts)
        # A hard pair's relation has changed: before is the opposite of now.
        return i, j, kind == 1, kind == 0, judged, when


def empty_record() -> tuple[dict[str, Any], dict[str, float]]:
    """Return the arrays and attributes of a `relations.h5` in which no pair was judged."""
    types = {"step": "int32", "i": "int32", "j": "int32", "now": "uint8", "before": "uint8"}
    types |= {"probability": "float32", "kept": "uint8", "same": "int8", "same_camera": "uint8"}
    nothing, none = np.empty(0, bool), np.empty(0, np.int8)
    return {name: np.empty(0, kind) for name, kind in types.items()}, {
        **_summary("positive", nothing, nothing, none, 1),
        **_summary("negative", nothing, nothing, none, 0),
        "prior": float("nan"),
    }


def _summary(
    name: str, chosen: np.ndarray, kept: np.ndarray, same: np.ndarray, right: int
) -> dict[str, float]:
    """Return how many pairs of a kind were judged and kept, and how many of each are right."""
    known = chosen & (same >= 0)

    def precision(mask: np.ndarray) -> float:
        return float((same[mask] == right).mean()) if mask.any() else float("nan")

    return {
        f"{name}s": int(chosen.sum()),
        f"{name}s_kept": int((chosen & kept).sum()),
        f"{name}_acceptance": float(kept[chosen].mean()) if chosen.any() else float("nan"),
        f"{name}_precision": precision(known),
        f"{name}_precision_kept": precision(known & kept),
    }
