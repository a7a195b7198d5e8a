"""Learning with batches made ahead, against one batch at a time as the method says it."""

import pytest
import torch
import torch.nn.functional as F

from mprd.config import GcnConfig
from mprd.gcn import learning
from mprd.gcn.judge import Judge
from mprd.gcn.learning import TaskSource, build_gcn, train_gcn
from mprd.gcn.pairs import PairSet
from tests.gcn.conftest import make_epoch
from tests.gcn.test_dgcnn import some_pairs

SETTINGS = GcnConfig(neighbors=4, hidden=(12, 8), conv=(8, 12), mlp=6, batch=16, inner_rate=0.1)
TASKS = (5, 0, 3)


def sources_of(kind: str) -> list[TaskSource]:
    """Three sources in two contexts: one without tasks, one whose pairs name a view."""
    epoch = make_epoch()
    context = epoch.context()
    settings = SETTINGS.model_copy(update={"node_features": kind})
    network = build_gcn(settings, epoch.features.shape[1], 0)
    scaling = None if kind == "raw" else context.scaling(some_pairs(40, len(context)))
    origin = torch.tensor([4, 50, 60])
    views = F.normalize(context.memory[origin] + 0.01, dim=1)
    extended = context.extended(views, origin)
    found = []
    for n, (place, tasks) in enumerate(zip((context, context, extended), TASKS, strict=True)):
        pairs = some_pairs(900, len(place), seed=n)
        same = torch.arange(len(pairs)) % 2 == 0
        both = PairSet(pairs, same, torch.zeros_like(same))
        found.append(TaskSource(f"source {n}", Judge(network, place, scaling), both, tasks))
    return found


def literal(sources: list[TaskSource], generator: torch.Generator) -> dict[str, list[float]]:
    """Draw, judge and descend, batch after batch."""
    network = sources[0].judge.network
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    network.train()
    losses: dict[str, list[float]] = {source.name: [] for source in sources}
    order = sorted(((k + 0.5) / s.tasks, n) for n, s in enumerate(sources) for k in range(s.tasks))
    for source in (sources[n] for _, n in order):
        start = [p.detach().clone() for p in network.parameters()]
        values = []
        drawn = [source.pairs.draw(SETTINGS.batch, generator) for _ in range(SETTINGS.inner_steps)]
        for places in drawn:
            logits = source.judge.logits(source.pairs.pairs[places])
            answers = source.pairs.same[places].float()
            value = F.binary_cross_entropy_with_logits(logits, answers)
            gradients = torch.autograd.grad(value, list(network.parameters()))
            with torch.no_grad():
                for p, g in zip(network.parameters(), gradients, strict=True):
                    p -= SETTINGS.inner_rate * g
            values.append(value.detach())
        with torch.no_grad():
            for p, first in zip(network.parameters(), start, strict=True):
                p.copy_(first + SETTINGS.outer_rate * (p - first))
        losses[source.name].append(float(torch.stack(values).mean()))
    return losses


@pytest.mark.parametrize("kind", ["relational", "raw"])
@pytest.mark.parametrize("ahead", [1, 100, 2**14])
def test_batches_made_ahead_teach_the_same(kind, ahead, monkeypatch):
    monkeypatch.setattr(learning, "_PREPARED", ahead)
    expected, found = sources_of(kind), sources_of(kind)
    losses = literal(expected, torch.Generator().manual_seed(3))
    ours = train_gcn(found[0].judge.network, found, SETTINGS, torch.Generator().manual_seed(3))
    assert {name: len(values) for name, values in ours.items()} == dict(
        zip(ours, TASKS, strict=True)
    )
    for name, values in losses.items():
        assert ours[name] == pytest.approx(values, abs=1e-6)
    for p, q in zip(
        found[0].judge.network.parameters(), expected[0].judge.network.parameters(), strict=True
    ):
        torch.testing.assert_close(p, q, atol=1e-6, rtol=0)


def test_the_same_seed_gives_the_same_bytes():
    results = []
    for _ in range(2):
        sources = sources_of("relational")
        generator = torch.Generator().manual_seed(1)
        losses = train_gcn(sources[0].judge.network, sources, SETTINGS, generator)
        results.append((losses, sources[0].judge.network.state_dict()))
    assert results[0][0] == results[1][0]
    assert all(torch.equal(v, results[1][1][k]) for k, v in results[0][1].items())


def test_nothing_to_learn_from():
    sources = [s for s in sources_of("relational") if not s.tasks]
    network = sources[0].judge.network
    before = {k: v.clone() for k, v in network.state_dict().items()}
    assert train_gcn(network, sources, SETTINGS, torch.Generator().manual_seed(0)) == {
        "source 1": []
    }
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_pairs_of_no_image_are_refused_before_the_first_step():
    source = sources_of("relational")[0]
    pairs = PairSet(torch.tensor([[0, 90]]), torch.tensor([True]), torch.tensor([False]))
    with pytest.raises(ValueError, match=r"outside 0\.\.89"):
        TaskSource("x", source.judge, pairs, 1)
