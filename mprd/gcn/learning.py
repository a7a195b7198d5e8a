"""Train the relation GCN by Reptile, on tasks that each draw from one set of pairs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from mprd.config import GcnConfig
from mprd.errors import UserError
from mprd.gcn.judge import Judge, Questions
from mprd.gcn.networks.registry import GcnShape, RelationNetwork, build_network
from mprd.gcn.node_features import RELATIONAL_FEATURES
from mprd.gcn.pairs import PairSet
from mprd.gcn.reptile import reptile_step
from mprd.gcn.subgraphs import check_pairs

_MOST_DRAWS = 10  # of a pair, on average, in one call of `train_gcn`
_PREPARED = 2**14  # pairs whose subgraphs and features are made ahead, in one go


@dataclass(frozen=True)
class TaskSource:
    """Pairs with an answer, who judges them in which context, and how many tasks draw from them."""

    name: str
    judge: Judge
    pairs: PairSet
    tasks: int

    def __post_init__(self) -> None:
        """Check the pairs.

        Raises:
            ValueError: a pair names no image of the context, or one image twice.
        """
        check_pairs(self.pairs.pairs, len(self.judge.context))


@dataclass(frozen=True)
class _Batch:
    """Pairs of an inner step as the network reads them, and their answers, float32 (P,)."""

    questions: Questions
    same: Tensor


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
    limited = [replace(s, tasks=min(s.tasks, _most_tasks(s.pairs, settings))) for s in sources]
    tasks = list(_mixed([s for s in limited if s.tasks and s.pairs.usable()]))
    values = _learn(network, tasks, settings, generator)
    losses: dict[str, list[float]] = {source.name: [] for source in sources}
    for source, value in zip(tasks, values, strict=True):
        losses[source.name].append(value)
    for source in sources:
        source.judge.forget()
    network.eval()
    if not all(bool(torch.isfinite(t).all()) for t in network.state_dict().values()):
        raise UserError(
            "The relation GCN has diverged: its weights are not finite. Lower gcn.inner_rate "
            f"(now {settings.inner_rate:g})."
        )
    return losses


def _learn(
    network: RelationNetwork,
    tasks: Sequence[TaskSource],
    settings: GcnConfig,
    generator: torch.Generator,
) -> list[float]:
    """Do one Reptile step per task; return their losses.

    The network waits for nothing: what it reads lies ready on its device, and losses come back at
    the end.
    """
    values = []
    ahead = max(1, _PREPARED // (settings.inner_steps * settings.batch))
    rates = settings.inner_rate, settings.outer_rate
    for start in range(0, len(tasks), ahead):
        some = tasks[start : start + ahead]
        batches = prepare_tasks(some, settings, generator)
        for source, task in zip(some, batches, strict=True):
            values.append(reptile_step(network, task, partial(_loss, source.judge), *rates))
    return torch.stack(values).tolist() if values else []


def prepare_tasks(
    tasks: Sequence[TaskSource], settings: GcnConfig, generator: torch.Generator
) -> list[list[_Batch]]:
    """Draw the batches of tasks, and make what the network reads of them, source by source.

    Args:
        tasks: the source of each.
        settings: `batch` and `inner_steps` are read.
        generator: on the CPU.

    Returns:
        The batches of each task.
    """
    steps = range(settings.inner_steps)
    drawn = [torch.stack([s.pairs.draw(settings.batch, generator) for _ in steps]) for s in tasks]
    batches: list[list[_Batch]] = [[] for _ in tasks]
    for source in {id(s): s for s in tasks}.values():
        own = [n for n, s in enumerate(tasks) if s is source]
        places = torch.stack([drawn[n] for n in own]).to(source.pairs.pairs.device)
        pairs, size = source.pairs.part(places.flatten()), places.shape[2]
        questions = source.judge.questions(pairs.pairs).split(size)
        answers = pairs.same.float().split(size)
        for place, batch in enumerate(map(_Batch, questions, answers)):
            batches[own[place // len(steps)]].append(batch)
    return batches


def _loss(judge: Judge, batch: _Batch) -> Tensor:
    return F.binary_cross_entropy_with_logits(judge.answer(batch.questions), batch.same)


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
