"""Steps that are recorded and replayed, with a stand-in for the recorder of a GPU."""

from types import SimpleNamespace

import pytest
import torch

from mprd.training import step_graph
from mprd.training.step_graph import GraphSteps, epoch_steps, obstacle
from tests.training.test_no_wait import PAIRS, STEPS, make_plan, make_store, make_trainer


class Recorder:
    """Replays by calling: like a GPU it sees new inputs only in the tensors that it recorded."""

    def __init__(self, *, error="", waits=""):
        self.error, self.waits, self.calls, self.shape = error, waits, [], None

    def warm_up(self, function):
        self.calls.append("warm up")
        losses = function()
        self.shape = losses.shape
        return losses

    def watch(self, function):
        return self.warm_up(function), self.waits

    def record(self, function):
        self.calls.append("record")
        if self.error:
            raise RuntimeError(self.error)
        losses = torch.full(self.shape, float("nan"))

        def replay():
            self.calls.append("replay")
            losses.copy_(function())

        return replay, losses

    def end(self):
        self.calls.append("end")


def train(recorder=None, tell=None, **options):
    """Return the losses of an epoch, and what it leaves; without a recorder, one by one."""
    trainer = make_trainer(**options)
    store, batches = make_store(), trainer.expect(make_plan(trainer))
    if recorder is None:
        losses = [trainer.step(store, batches.of_step(n)) for n in range(STEPS)]
    else:
        steps = GraphSteps(trainer, store, batches, recorder, tell)
        losses = [steps(n).clone() for n in range(STEPS)]
        steps.end()
    return torch.stack(losses), trainer.memory.prototypes


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("memory", ["cluster", "camera"])
def test_a_replayed_epoch_is_that_of_single_steps(memory, pairs):
    recorder = Recorder()
    found = train(recorder, pytest.fail, memory=memory, **PAIRS[pairs])
    expected = train(memory=memory, **PAIRS[pairs])
    assert (expected[0][:, 0].diff() != 0).all(), "each batch is another"
    exact = pairs == "plain"  # padded products round otherwise
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0 if exact else 1e-3, atol=0 if exact else 1e-3)
    assert recorder.calls == ["warm up"] * 3 + ["record"] + ["replay"] * (STEPS - 3) + ["end"]


@pytest.mark.parametrize(
    ("recorder", "sentence"),
    [
        (Recorder(waits="own.py:3"), "a step waits for the GPU in own.py:3"),
        (Recorder(error="cannot be captured\nmore"), "cannot be captured"),
    ],
    ids=["waits", "error"],
)
def test_what_cannot_be_recorded_is_told_once_and_trained_on(recorder, sentence):
    said = []
    found = train(recorder, said.append)
    assert said == [f"Steps are not recorded as a CUDA graph: {sentence}."]
    for a, b in zip(found, train(), strict=True):
        assert torch.equal(a, b)


def fake(kind="cuda", mode="auto", *, filters=False):
    settings = SimpleNamespace(step_graph=mode)
    return SimpleNamespace(device=torch.device(kind), settings=settings, filters=filters)


def test_when_steps_are_recorded(monkeypatch):
    held, elsewhere = SimpleNamespace(resident=True), SimpleNamespace(resident=False)
    assert obstacle(fake(), held, 200) is None
    assert obstacle(fake(mode="always"), held, 5) is None
    assert obstacle(fake("cpu", "always"), held, 200) == ""
    assert obstacle(fake(mode="never"), held, 200) == ""
    assert "fewer than 50 steps" in obstacle(fake(), held, 49)
    assert "not held on the GPU" in obstacle(fake(mode="always"), elsewhere, 200)
    assert "filters hard pairs" in obstacle(fake(filters=True), held, 200)
    monkeypatch.setattr(step_graph.group, "size", lambda: 2)
    assert "several processes" in obstacle(fake(), held, 200)


def test_on_a_cpu_nothing_is_said_and_done(capsys):
    trainer = make_trainer()
    store, batches = make_store(), trainer.expect(make_plan(trainer))
    with epoch_steps(trainer, store, batches, pytest.fail) as steps:
        found = torch.stack([steps(n) for n in range(STEPS)])
    assert torch.equal(found, train()[0])
    assert capsys.readouterr().out == ""


def test_an_obstacle_is_told_and_trained_on(monkeypatch):
    monkeypatch.setattr(step_graph, "obstacle", lambda *_: "too few")
    trainer, said = make_trainer(), []
    store, batches = make_store(), trainer.expect(make_plan(trainer))
    with epoch_steps(trainer, store, batches, said.append) as steps:
        found = torch.stack([steps(n) for n in range(STEPS)])
    assert torch.equal(found, train()[0])
    assert said == ["Steps are not recorded as a CUDA graph: too few."]
