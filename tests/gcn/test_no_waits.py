"""No step of the relation GCN makes the host wait for the device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mprd.config import GcnConfig
from mprd.gcn.judge import Judge
from mprd.gcn.learning import TaskSource, _loss, build_gcn, prepare_tasks
from mprd.gcn.pairs import PairSet
from mprd.gcn.reptile import reptile_step
from tests.gcn.conftest import make_epoch
from tests.gcn.test_dgcnn import some_pairs

SETTINGS = GcnConfig(neighbors=4, hidden=(12, 8), conv=(8, 12), mlp=6, batch=16)
# What asks the device for a value or a size, or brings a new host tensor to it.
WAITS = ("_local_scalar_dense", "nonzero", "unique", "masked_select", "bincount")
WAITS += ("lift_fresh", "scalar_tensor")


class NoWaits(TorchDispatchMode):
    """Fails on an operation that would wait for a GPU."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().removeprefix("aten::")
        if any(word in name for word in WAITS):
            raise AssertionError(f"{name} waits for the device")
        if name.startswith(("index.", "index_put", "_index_put")):
            masks = [x for x in args[1] if x is not None and x.dtype == torch.bool]
            if masks:
                raise AssertionError(f"{name} by a mask waits for the device")
        return function(*args, **(kwargs or {}))


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


@contextmanager
def refused(word: str) -> Iterator[None]:
    with pytest.raises(AssertionError, match=f"{word}.* waits for the device"), NoWaits():
        yield


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
    with refused(word):
        call(values)


@pytest.mark.parametrize("kind", ["relational", "raw"])
def test_reptile_steps(kind):
    judge = asked(kind)
    generator = torch.Generator().manual_seed(0)
    tasks = prepare_tasks([source(judge)] * 3, SETTINGS, generator)
    judge.network.train()
    before = [p.detach().clone() for p in judge.network.parameters()]
    with NoWaits():
        values = [
            reptile_step(judge.network, task, partial(_loss, judge), 0.1, 0.5) for task in tasks
        ]
    assert all(torch.isfinite(value) for value in values)
    moved = [not torch.equal(p, q) for p, q in zip(judge.network.parameters(), before, strict=True)]
    assert all(moved)


@pytest.mark.parametrize("kind", ["relational", "raw"])
def test_answers_and_changes_of_the_memory(kind):
    judge = asked(kind)
    pairs, sample, rows = some_pairs(600, 90), some_pairs(50, 90, seed=2), torch.tensor([3, 8, 40])
    with NoWaits():
        first = judge.probability(pairs)
        judge.context.memory[rows] = judge.context.memory[rows].flip(1)
        judge.refresh(rows)
        judge.rescale(sample)
        assert judge.shared_probability(pairs).shape == first.shape


def test_subgraphs_and_features_of_a_whole_learning():
    judge = asked("relational")
    pairs = some_pairs(700, 90)
    with NoWaits():
        questions = judge.questions(pairs)
    assert len(questions.graphs) == len(pairs)
