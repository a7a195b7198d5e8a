"""No step of the relation GCN makes the host wait for the device."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from mprd.config import GcnConfig
from mprd.gcn.filter import RelationFilter
from mprd.gcn.judge import Judge
from mprd.gcn.learning import TaskSource, _loss, build_gcn, prepare_tasks
from mprd.gcn.pairs import PairSet
from mprd.gcn.reptile import reptile_step
from mprd.pairs.hard_pairs import HardPairs
from tests.gcn.conftest import make_epoch
from tests.gcn.test_dgcnn import some_pairs
from tests.no_wait import waits as watched

SETTINGS = GcnConfig(neighbors=4, hidden=(12, 8), conv=(8, 12), mlp=6, batch=16)


def waits(function: Callable[[], object]) -> list[str]:
    """Return what a function waits for; numbers in `torch.where` are uploaded, too."""
    return watched(function, more=["scalar_tensor"])


def asked(kind: str) -> Judge:
    epoch = make_epoch()
    context = epoch.context()
    settings = SETTINGS.model_copy(update={"node_features": kind})
    network = build_gcn(settings, epoch.features.shape[1], 0)
    sample = some_pairs(40, len(context))
    judge = Judge(network, context, None if kind == "raw" else context.scaling(sample))
    judge._distinct = False  # as on a GPU
    return judge


def source(judge: Judge) -> TaskSource:
    pairs = some_pairs(200, len(judge.context), seed=1)
    same = torch.arange(len(pairs)) % 3 == 0
    return TaskSource("x", judge, PairSet(pairs, same, judge.context.same_camera(*pairs.T)), 4)


@pytest.mark.parametrize(
    ("word", "call"),
    [
        ("_local_scalar_dense", lambda x: float(x.sum())),
        ("_local_scalar_dense", lambda x: bool(x.any())),
        ("nonzero", lambda x: x.nonzero()),
        ("unique", lambda x: torch.unique(x, return_inverse=True)),
        ("index", lambda x: x[x > 0]),
        ("index_put", lambda x: x.__setitem__(x > 0, x.new_zeros(1))),
        ("lift_fresh", lambda x: x + torch.tensor([1.0, 2.0])),
        ("scalar_tensor", lambda x: torch.where(x > 0, x, 0.0)),
    ],
)
def test_waits_are_seen(word: str, call: Callable[[torch.Tensor], object]):
    values = torch.tensor([1.0, -1.0])
    assert any(word in line.partition(":")[0] for line in waits(lambda: call(values)))


@pytest.mark.parametrize("kind", ["relational", "raw"])
def test_reptile_steps(kind):
    judge = asked(kind)
    generator = torch.Generator().manual_seed(0)
    tasks = prepare_tasks([source(judge)] * 3, SETTINGS, generator)
    judge.network.train()
    before = [p.detach().clone() for p in judge.network.parameters()]
    values = []

    def steps():
        for task in tasks:
            values.append(reptile_step(judge.network, task, partial(_loss, judge), 0.1, 0.5))

    assert waits(steps) == []
    assert all(torch.isfinite(value) for value in values)
    moved = [not torch.equal(p, q) for p, q in zip(judge.network.parameters(), before, strict=True)]
    assert all(moved)


@pytest.mark.parametrize("kind", ["relational", "raw"])
def test_answers_and_changes_of_the_memory(kind):
    judge = asked(kind)
    pairs, sample, rows = some_pairs(600, 90), some_pairs(50, 90, seed=2), torch.tensor([3, 8, 40])

    def work():
        first = judge.probability(pairs)
        judge.context.memory[rows] = judge.context.memory[rows].flip(1)
        judge.refresh(rows)
        judge.rescale(sample)
        assert judge.shared_probability(pairs).shape == first.shape

    assert waits(work) == []


def test_subgraphs_and_features_of_a_whole_learning():
    judge = asked("relational")
    pairs = some_pairs(700, 90)
    asked_of = []
    assert waits(lambda: asked_of.append(judge.questions(pairs))) == []
    assert len(asked_of[0].graphs) == len(pairs)


@pytest.mark.parametrize("kind", ["raw", "relational"])
def test_the_filter_of_hard_pairs(kind):
    """With the real judge; tests/training has a stand-in."""
    judge = asked(kind)
    count = len(judge.context)
    pairs = HardPairs(torch.arange(count) // 8, torch.arange(count) // 5)
    rows = torch.randint(count, (12, 16), generator=torch.Generator().manual_seed(0))
    members = pairs.members(rows)
    chosen = RelationFilter(judge, torch.tensor([[0, 1], [5, 20]]))
    chosen.expect(pairs, rows, members)
    generator = torch.Generator().manual_seed(0)

    def step(number):
        chosen(pairs.of_batch(rows[number], members.of_step(number)), generator)
        chosen.refresh()

    for number in range(9):  # after the tenth, relational features are standardised anew
        step(number)
    assert waits(lambda: step(9)) + waits(lambda: step(10)) == []
