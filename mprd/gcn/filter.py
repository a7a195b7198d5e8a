"""The relation filter of the training loop (method step 5), and its record."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mprd.gcn.calibration import at_prior
from mprd.gcn.judge import Judge
from mprd.pairs.pair_list import (
    PairList,
    canonical,
    join,
    pair_similarities,
    random_member,
    segment_argmin,
)

_RESCALE_STEPS = 10


@dataclass(frozen=True)
class _Log:
    """One batch's judgements, tensors of equal length."""

    rows: Tensor
    members: Tensor
    now: bool
    probability: Tensor
    step: int


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
    _log: list[_Log] = field(default_factory=list)
    _collected: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    _step: int = 0

    def __call__(
        self, rows: Tensor, positives: PairList, negatives: PairList, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Judge a batch's hard pairs; note them, and one pair of each answer per anchor.

        Args:
            rows: int64 (B,), training rows.
            positives: hard positives of the batch.
            negatives: hard negatives of the batch.
            generator: on the device of `rows`; chooses among kept positives.

        Returns:
            Which positives and which negatives are kept, bool.
        """
        self._step += 1
        probability = at_prior(self._judge(rows, positives, negatives), self.prior)
        positive, negative = probability.split([len(positives.owner), len(negatives.owner)])
        self._note(rows, positives, True, positive)
        self._note(rows, negatives, False, negative)
        keep, keep_negative = positive >= 0.5, negative < 0.5
        self._collect_positives(rows, positives.part(keep), generator)
        # Both answers from inside clusters: a negative from elsewhere would be told by that alone.
        refuted = join(positives.part(~keep), negatives.part(keep_negative))
        self._collect_negatives(rows, refuted)
        return keep, keep_negative

    def refresh(self, rows: Tensor) -> None:
        """Take note that a batch went into the memory.

        All similarities drift as it changes, so every 10 steps features are standardised anew.
        """
        self.judge.refresh(torch.unique(rows))
        if self._step % _RESCALE_STEPS == 0:
            self.judge.rescale(self.sample)

    def collected(self) -> tuple[Tensor, Tensor]:
        """Return the distinct pairs collected: int64 (n, 2), and the answers bool (n,)."""
        device = self.sample.device
        if not self._collected:
            return torch.empty(0, 2, dtype=torch.int64, device=device), torch.empty(
                0, dtype=torch.bool, device=device
            )
        pairs = torch.cat([canonical(pairs) for pairs, _ in self._collected])
        same = torch.cat([same for _, same in self._collected])
        keyed = torch.unique(torch.cat([pairs, same.long()[:, None]], dim=1), dim=0)
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

    def _judge(self, rows: Tensor, positives: PairList, negatives: PairList) -> Tensor:
        """Return p of all pairs of a batch; a pair that occurs twice is computed once."""
        owner = torch.cat([positives.owner, negatives.owner])
        pairs = torch.stack([rows[owner], torch.cat([positives.member, negatives.member])], dim=1)
        distinct, inverse = torch.unique(canonical(pairs), dim=0, return_inverse=True)
        return self.judge.shared_probability(distinct)[inverse]

    def _note(self, rows: Tensor, pairs: PairList, now: bool, probability: Tensor) -> None:
        self._log.append(_Log(rows[pairs.owner], pairs.member, now, probability, self._step))

    def _collect_positives(self, rows: Tensor, kept: PairList, generator: torch.Generator) -> None:
        owners, members = random_member(kept, generator)
        self._take(rows[owners], members, True)

    def _collect_negatives(self, rows: Tensor, refuted: PairList) -> None:
        """Take the most similar of an anchor's pairs that are judged to be two identities."""
        if not len(refuted.owner):
            return
        memory = self.judge.context.memory
        owners, segment = torch.unique_consecutive(refuted.owner, return_inverse=True)
        alike = pair_similarities(memory[rows], memory, refuted)
        nearest = segment_argmin(-alike, segment, len(owners))
        self._take(rows[owners], refuted.member[nearest], False)

    def _take(self, rows: Tensor, members: Tensor, same: bool) -> None:
        if not len(rows):
            return
        pairs = torch.stack([rows, members], dim=1)
        self._collected.append((pairs, torch.full_like(rows, same, dtype=torch.bool)))

    def _columns(self) -> tuple[np.ndarray, ...]:
        def join(parts: list[Tensor]) -> np.ndarray:
            return torch.cat(parts).cpu().numpy() if parts else np.empty(0, np.int64)

        log = self._log
        i, j = join([part.rows for part in log]), join([part.members for part in log])
        lengths = [len(part.rows) for part in log]
        now = np.repeat([part.now for part in log], lengths).astype(bool)
        step = np.repeat([part.step for part in log], lengths)
        # A hard pair's relation has changed: before is the opposite of now.
        return i, j, now, ~now, join([part.probability for part in log]), step


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
