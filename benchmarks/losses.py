"""HSD and PPA for a whole batch against one sample at a time: `python benchmarks/losses.py`.

The literal version makes each sample's own prototypes, as the formulas read. Both with gradients.
"""

import torch
import torch.nn.functional as F
from common import Row, arguments, compare, report
from torch import Tensor

from mprd.losses.hsd import hsd_loss
from mprd.losses.ppa import ppa_loss
from mprd.pairs.pair_list import random_choice

SETTINGS = {"temperature": 0.05, "mix": 0.2, "margin": 0.15}
PPA_MIX = 0.1


class Problem:
    """A batch with hard pairs: about 15 positives and 10 negatives per image."""

    def __init__(self, batch: int, clusters: int, count: int, dim: int) -> None:
        draw = torch.Generator().manual_seed(0)

        def unit(rows: int) -> Tensor:
            return F.normalize(torch.randn(rows, dim, generator=draw), dim=1)

        def integers(high: int, size: int) -> Tensor:
            return torch.randint(high, (size,), generator=draw)

        self.x, self.y = unit(batch).requires_grad_(), unit(batch).requires_grad_()
        self.prototypes, self.memory = unit(clusters), unit(count)
        self.labels, self.all_labels = integers(clusters, batch), integers(clusters, count)
        positives, negatives = integers(count, 15 * batch), integers(count, 10 * batch)
        self.members = torch.unique(torch.cat([positives, negatives]))
        self.positive, self.negative = (
            (rows.view(batch, -1, 1) == self.members).any(dim=1) for rows in (positives, negatives)
        )
        self.chosen = self.members[random_choice(self.positive, draw)]

    def ours(self) -> tuple[Tensor, Tensor]:
        """Return HSD and PPA by the package."""
        hsd = hsd_loss(
            self.x, self.labels, self.prototypes, self.memory, self.chosen, self.members,
            self.negative, **SETTINGS,
        )  # fmt: skip
        ppa = ppa_loss(
            self.x, self.y, self.labels, self.prototypes, self.memory, self.all_labels,
            self.members, self.positive, self.negative,
            temperature=SETTINGS["temperature"], mix=PPA_MIX,
        )  # fmt: skip
        return hsd, ppa

    def literal(self) -> tuple[Tensor, Tensor]:
        """Return the same, one sample at a time."""
        hsd, ppa = [], []
        for i in range(len(self.x)):
            members = self.members[self.negative[i]]
            hsd.append(self._hsd(i, members))
            views = [self._log_softmax(i, view, members) for view in (self.x[i], self.y[i])]
            ppa.append((views[0].exp() * (views[0] - views[1])).sum())
        return torch.stack(hsd).mean(), torch.stack(ppa).mean()

    def _hsd(self, i: int, negatives: Tensor) -> Tensor:
        t, a, own = SETTINGS["temperature"], SETTINGS["mix"], int(self.labels[i])
        mixed = (1 - a) * self.prototypes[own] + a * self.memory[self.chosen[i]]
        prototypes = self.prototypes.clone()
        prototypes[own] = F.normalize(mixed, dim=0)
        logits = prototypes @ self.x[i] / t
        hard = (self.memory[negatives] @ self.x[i] - SETTINGS["margin"]) / t
        return torch.logsumexp(torch.cat([logits, hard]), dim=0) - logits[own]

    def _log_softmax(self, i: int, view: Tensor, negatives: Tensor) -> Tensor:
        own, prototypes = int(self.labels[i]), self.prototypes.clone()
        members = self.members[self.positive[i]]
        rows = {own: members[(self.memory[members] @ view).argmin()]}
        for member in negatives[(self.memory[negatives] @ view).argsort()].tolist():
            cluster = int(self.all_labels[member])
            if cluster != own:
                rows[cluster] = member  # the most similar one is the last
        for cluster, member in rows.items():
            mixed = (1 - PPA_MIX) * self.prototypes[cluster] + PPA_MIX * self.memory[member]
            prototypes[cluster] = F.normalize(mixed, dim=0)
        return F.log_softmax(prototypes @ view / SETTINGS["temperature"], dim=0)


def main() -> None:
    options = arguments(__doc__, batch=64, clusters=700, n=12_936, dim=2048, runs=5)
    problem = Problem(options.batch, options.clusters, options.n, options.dim)
    ours, expected = problem.ours(), problem.literal()
    difference = max(float((a - b).detach().abs()) for a, b in zip(ours, expected, strict=True))
    found = compare(
        lambda: sum(problem.ours()).backward(),
        lambda: sum(problem.literal()).backward(),
        options.runs,
    )
    row = Row(
        "HSD and PPA with gradients",
        f"B={options.batch}, K={options.clusters}, D={options.dim}",
        f"{found.ratio:.0f}x one by one",
        detail=f"{found.times()}; largest difference {difference:.0e}",
    )
    report([row], options.json)


if __name__ == "__main__":
    main()
