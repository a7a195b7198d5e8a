"""A training step asks nothing back from the device, and uploads nothing to it."""

import numpy as np
import pytest
import torch

from mprd.config import AugmentConfig, TrainConfig
from mprd.data.pixels import PixelStore
from mprd.gcn.filter import RelationFilter
from mprd.losses.memories.registry import MEMORIES, MemoryInputs
from mprd.models.backbones.mini import MiniTrunk
from mprd.models.backbones.registry import Architecture, Backbone
from mprd.models.network import ReidNetwork
from mprd.pairs.hard_pairs import HardPairs
from mprd.training.epoch import make_optimizer
from mprd.training.step import EpochTrainer
from tests.no_wait import waits

COUNT, STEPS, P, S = 60, 12, 4, 4
SIZE = 16, 8  # the network is not the point
PAIRS = {
    "plain": {},
    "hsd": {"use_hsd": True},
    "ppa": {"use_ppa": True},
    "both": {"use_hsd": True, "use_ppa": True},
    "online": {"online_weight": 0.5},
}


class FixedJudge:
    """Answers by a hash of the pair: the network that answers is another one's concern."""

    def __init__(self, memory):
        self.context = type("Context", (), {"memory": memory})
        self.refreshed, self.rescaled = [], 0

    def shared_probability(self, pairs):
        return (pairs.sum(dim=1) * 7 % 10) / 10

    def refresh(self, rows):
        self.refreshed.append(rows)

    def rescale(self, pairs):
        self.rescaled += 1


def small_network(group, size=SIZE):
    """A network whose batch norm works in groups of images."""
    with pytest.MonkeyPatch.context() as patch:
        small = Backbone(MiniTrunk((8, 8, 16, 32)), 32)
        patch.setattr("mprd.models.network.build_backbone", lambda *_: small)
        return ReidNetwork(Architecture("mini", "gem", group, *size)).train()


def make_trainer(memory="cluster", judged=False, **options):
    torch.manual_seed(0)
    settings = TrainConfig(memory=memory, identities=P, instances=S, iters=STEPS, **options)
    rng = np.random.default_rng(0)
    network = small_network(8)
    labels = torch.from_numpy(np.where(rng.random(COUNT) < 0.1, -1, np.arange(COUNT) // 6))
    kept = MEMORIES[memory](
        MemoryInputs(
            features=torch.nn.functional.normalize(torch.randn(COUNT, network.dim), dim=1),
            labels=labels,
            cameras=torch.from_numpy(rng.integers(-1, 3, COUNT)),
            weights=torch.from_numpy(rng.random(COUNT).astype(np.float32)),
        ),
        settings,
    )
    judge = FixedJudge(kept.instances)
    return EpochTrainer(
        network=network,
        optimizer=make_optimizer(network, settings, 1),
        memory=kept,
        pairs=HardPairs(kept.labels, torch.arange(COUNT) // 8),
        settings=settings,
        augmentation=AugmentConfig(jitter=0.2),
        generator=torch.Generator().manual_seed(0),
        pair_filter=RelationFilter(judge, torch.tensor([[0, 1]])) if judged else None,
    )


def make_plan(trainer, steps=STEPS):
    inside = (trainer.memory.labels >= 0).nonzero()[:, 0].numpy()
    return np.random.default_rng(1).choice(inside, (steps, P * S))


def make_store():
    """A store whose images are on the device, without a file."""
    held = torch.randint(0, 256, (COUNT, *SIZE, 3), generator=torch.Generator().manual_seed(5))
    found = object.__new__(PixelStore)
    vars(found).update(rows=np.arange(COUNT), device=torch.device("cpu"), _held=held.byte())
    return found


VARIANTS = [
    (memory, pairs, update)
    for memory in ("cluster", "camera", "hybrid")
    for pairs in PAIRS
    for update in (("hard", "mean", "all") if memory != "hybrid" else ("hard",))
    if memory == "camera" or (memory == "cluster" and pairs != "online") or pairs == "plain"
]


JUDGED = [one for one in VARIANTS if one[1] not in ("plain", "online")]  # with pairs to judge


@pytest.mark.parametrize(
    ("memory", "pairs", "update", "judged"),
    [(*one, False) for one in VARIANTS] + [(*one, True) for one in JUDGED],
)
def test_a_step_waits_for_nothing(memory, pairs, update, judged):
    store = make_store()
    trainer = make_trainer(memory, judged, memory_update=update, **PAIRS[pairs])
    batches = trainer.expect(make_plan(trainer))
    first = 9 if judged else 1  # after the tenth, relational features are standardised anew
    for step in range(first):  # constants are uploaded once
        trainer.step(store, batches.of_step(step))
    for step, padded in ((first, False), (first + 1, True)):
        batch = batches.of_step(step, padded=padded)
        assert waits(lambda batch=batch: trainer.step(store, batch)) == []


def test_the_watch_sees_what_waits():
    values = torch.arange(4)
    for function in (
        lambda: values.sum().item(),
        lambda: values[values > 1],
        lambda: values.unique(),
        lambda: torch.tensor([1]),
        lambda: torch.from_numpy(np.zeros(1)),
        lambda: bool(values.any()),
        lambda: torch.repeat_interleave(values, values),
        lambda: values.cpu(),
    ):
        assert waits(function)
    assert waits(lambda: values[values] + 1) == []
