"""Train the relation GCN by Reptile, on tasks that each draw from one set of pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.config import GcnConfig
from mprd.errors import UserError
from mprd.gcn.judge import Judge
from mprd.gcn.networks.registry import GcnShape, RelationNetwork, build_network
from mprd.gcn.node_features import RELATIONAL_FEATURES
from mprd.gcn.pairs import PairSet
from mprd.gcn.reptile import reptile_step

_MOST_DRAWS = 10  # of a pair, on average, in one call of `train_gcn`


@dataclass(frozen=True)
class TaskSource:
    """Pairs with an answer, who judges them in which context, and how many tasks draw from them."""

    name: str
    judge: Judge
    pairs: PairSet
    tasks: int


def build_gcn(settings: GcnConfig, dim: int, seed: int) -> RelationNetwork:
    """Return a network with fresh weights, reproducible by seed.

    Args:
        settings: the `gcn` section.
        dim: embedding size D.
        seed: of the weights.
    """
    inputs = dim if settings.node_features == "raw" else RELATIONAL_FEATURES
    torch.manual_seed(seed)
    return build_network(
        GcnShape(
            node_features=settings.node_features,
            inputs=inputs,
            hidden=settings.hidden,
            sort_k=settings.sort_k,
            conv=settings.conv,
            mlp=settings.mlp,
            dropout=settings.dropout,
            network=settings.network,
        )
    )


def train_gcn(
    network: RelationNetwork,
    sources: Sequence[TaskSource],
    settings: GcnConfig,
    generator: torch.Generator,
) -> dict[str, list[float]]:
    """Do one Reptile step per task, the sources evenly mixed in proportion to their tasks.

    Args:
        network: trained in place; the judges of all sources hold it.
        sources: a source without tasks, or with one kind of pairs only, is passed over.
        settings: the `gcn` section.
        generator: on the CPU; draws the pairs and seeds dropout.

    Returns:
        Source name -> loss of each of its tasks.

    Raises:
        UserError: training has diverged.
    """
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    network.train()
    losses: dict[str, list[float]] = {source.name: [] for source in sources}
    limited = [replace(s, tasks=min(s.tasks, _most_tasks(s.pairs, settings))) for s in sources]
    for source in _mixed([s for s in limited if s.tasks and s.pairs.usable()]):
        batches = [
            source.pairs.draw(settings.batch, generator) for _ in range(settings.inner_steps)
        ]
        value = reptile_step(
            network, batches, partial(_loss, source.judge), settings.inner_rate, settings.outer_rate
        )
        losses[source.name].append(value)
    for source in sources:
        source.judge.forget()
    network.eval()
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise UserError(
            "The relation GCN has diverged: its weights are not finite. Lower gcn.inner_rate "
            f"(now {settings.inner_rate:g})."
        )
    return losses


def _loss(judge: Judge, batch: tuple[Tensor, Tensor]) -> Tensor:
    pairs, same = batch
    return F.binary_cross_entropy_with_logits(judge.logits(pairs), same.float())


def _most_tasks(pairs: PairSet, settings: GcnConfig) -> int:
    """Return how many tasks may draw from pairs, so that none is drawn often.

    A handful of pairs that are drawn again and again would be learnt by heart, and the answer to
    all others would turn into the opposite.
    """
    rarest, share = pairs.rarest()
    drawn = settings.inner_steps * settings.batch * share
    return max(1, int(_MOST_DRAWS * rarest / drawn)) if rarest else 0


def _mixed(sources: Sequence[TaskSource]) -> Iterator[TaskSource]:
    """Yield each source as often as it has tasks, evenly mixed."""
    places = [((k + 0.5) / s.tasks, n) for n, s in enumerate(sources) for k in range(s.tasks)]
    for _, n in sorted(places):
        yield sources[n]
