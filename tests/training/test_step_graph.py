"""Steps that are recorded and replayed, with a stand-in for the recorder of a GPU."""

from contextlib import contextmanager, nullcontext
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


@pytest.fixture
def cuda(monkeypatch):
    """The calls of `CudaCapture` to torch.cuda; what is recorded runs once, as nothing is a GPU."""
    calls = SimpleNamespace(registered=[], streams=[])

    class Graph:
        def register_generator_state(self, generator):
            calls.registered.append(generator)

        def replay(self):
            pass

    @contextmanager
    def graph(recorded, *, stream, capture_error_mode):
        assert isinstance(recorded, Graph)
        calls.streams.append(stream)
        yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    return calls


def capturable(trainer):
    return [settings["capturable"] for settings in trainer.optimizer.param_groups]


def test_a_recording_knows_the_random_numbers_and_leaves_an_ordinary_optimiser(cuda):
    trainer = make_trainer()
    store, batches = make_store(), trainer.expect(make_plan(trainer))
    capture = step_graph.CudaCapture(trainer)
    seen = []

    def function():
        seen.extend([capturable(trainer), torch.is_autocast_cache_enabled()])
        seen.append([p.grad for p in trainer.network.parameters() if p.grad is not None])
        return trainer.step(store, batches.of_step(0))

    replay, losses = capture.record(function)
    replay()
    assert losses.shape == (2,)
    assert seen == [[True], False, []]
    assert cuda.registered == [trainer.generator]
    assert cuda.streams == ["stream of cpu"]
    assert torch.is_autocast_cache_enabled()
    capture.end()
    assert capturable(trainer) == [False]
    assert all(p.grad is None for p in trainer.network.parameters())


def test_after_a_failed_recording_random_numbers_go_on(cuda):
    trainer = make_trainer()
    expected = torch.Generator()
    expected.set_state(trainer.generator.get_state())

    def function():
        torch.rand(3, generator=trainer.generator)
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="not permitted"):
        step_graph.CudaCapture(trainer).record(function)
    assert trainer.generator is not cuda.registered[0]
    draws = (torch.rand(5, generator=g) for g in (trainer.generator, expected))
    assert torch.equal(*draws)
    assert capturable(trainer) == [False]
    assert torch.is_autocast_cache_enabled()
