"""The steps of an epoch, as a CUDA graph where that pays: recorded once, then replayed.

A step of a small batch is a thousand small kernels, and the CPU needs longer to launch them than a
GPU to compute them. A graph launches them all at once. It holds augmentation, both passes, the
optimiser and the memory, on fixed inputs into which the rows of each step are copied.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from mprd.data.pixels import PixelStore
from mprd.pairs.batches import Batch, Batches
from mprd.system import group
from mprd.training.step import EpochTrainer

_WARM_UP = 3  # steps before the recording: libraries choose kernels, constants are uploaded
_LEAST_STEPS = 50  # a recording takes as long as some steps

Step = Callable[[int], Tensor]


class Capture(Protocol):
    """Records a function that works on fixed tensors."""

    def warm_up(self, function: Callable[[], Tensor]) -> Tensor:
        """Run it as it will be recorded."""

    def watch(self, function: Callable[[], Tensor]) -> tuple[Tensor, str]:
        """Run it likewise; also tell where it waits for the device, "" if nowhere."""

    def record(self, function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Record it without running it.

        Returns:
            What runs it, and the tensor that then holds its result.

        Raises:
            RuntimeError: it does what cannot be recorded.
        """

    def end(self) -> None:
        """Leave network and optimiser as steps without a graph would."""


@contextmanager
def epoch_steps(
    trainer: EpochTrainer, store: PixelStore, batches: Batches, tell: Callable[[str], None]
) -> Iterator[Step]:
    """Yield what trains on the batch of a number, to be called for 0, 1, 2, ...

    Args:
        trainer: prepared for `batches`.
        store: the training images.
        batches: of the epoch.
        tell: takes the sentence that says why there is no graph.
    """
    why = obstacle(trainer, store, len(batches))
    if why is None:
        graph = GraphSteps(trainer, store, batches, CudaCapture(trainer), tell)
        try:
            yield graph
        finally:
            graph.end()
        return
    if why:
        tell(f"Steps are not recorded as a CUDA graph: {why}.")
    # The same shapes as in a recording, so that the same random numbers are drawn.
    padded = trainer.device.type == "cuda"
    yield lambda number: trainer.step(store, batches.of_step(number, padded=padded))


def obstacle(trainer: EpochTrainer, store: PixelStore, steps: int) -> str | None:
    """Tell why steps are not recorded; "" where nobody expects it, None where they are."""
    mode = trainer.settings.step_graph
    if mode == "never" or trainer.device.type != "cuda":
        return ""
    if group.size() > 1:
        return "several processes share a step"
    if trainer.filters:
        return "the relation GCN filters hard pairs"
    if not store.resident:
        return "the images are not held on the GPU"
    if mode == "auto" and steps < _LEAST_STEPS:
        return f"it does not pay for fewer than {_LEAST_STEPS} steps (train.iters)"
    return None


class GraphSteps:
    """Steps that are recorded after the first few; one by one where that fails."""

    def __init__(
        self,
        trainer: EpochTrainer,
        store: PixelStore,
        batches: Batches,
        capture: Capture,
        tell: Callable[[str], None],
    ) -> None:
        """Set up an epoch; arguments as `epoch_steps`."""
        self._batches, self._capture, self._tell = batches, capture, tell
        self._eager = lambda number: trainer.step(store, batches.of_step(number, padded=True))
        first = batches.of_step(0, padded=True)
        fixed = Batch(first.rows.clone(), first.members.clone(), first.host)
        self._fixed, self._step = fixed, lambda: trainer.step(store, fixed)
        self._recorded: tuple[Callable[[], None], Tensor] | None = None
        self._failed = False

    def __call__(self, number: int) -> Tensor:
        """Train on a batch; return its losses, which the next call may overwrite."""
        if self._failed:
            return self._eager(number)
        batch = self._batches.of_step(number, padded=True)
        self._fixed.rows.copy_(batch.rows)
        self._fixed.members.copy_(batch.members)
        if number < _WARM_UP - 1:
            return self._capture.warm_up(self._step)
        if number == _WARM_UP - 1:
            losses, waits = self._capture.watch(self._step)
            if waits:
                self._fail(f"a step waits for the GPU in {waits}")
            return losses
        if self._recorded is None:
            try:
                self._recorded = self._capture.record(self._step)
            except RuntimeError as error:
                self._fail(str(error).partition("\n")[0])
                return self._eager(number)
        replay, losses = self._recorded
        replay()
        return losses

    def end(self) -> None:
        """Drop the graph and all that it holds."""
        self._recorded = None
        self._capture.end()

    def _fail(self, why: str) -> None:
        self._failed = True
        self._tell(f"Steps are not recorded as a CUDA graph: {why}.")


class CudaCapture:
    """Records the steps of a trainer on its GPU."""

    def __init__(self, trainer: EpochTrainer) -> None:
        """Prepare for a trainer whose device is a GPU."""
        self._trainer = trainer
        self._stream = torch.cuda.Stream(trainer.device)

    def warm_up(self, function: Callable[[], Tensor]) -> Tensor:
        """Run it on a stream beside the usual one, as a recording does."""
        current = torch.cuda.current_stream(self._trainer.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            losses = function()
        current.wait_stream(self._stream)
        return losses

    def watch(self, function: Callable[[], Tensor]) -> tuple[Tensor, str]:
        """Run it likewise; also tell in which line it waits for the device."""
        mode = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                losses = self.warm_up(function)
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        found = [w for w in caught if "called a synchronizing" in str(w.message)]
        return losses, f"{Path(found[0].filename).name}:{found[0].lineno}" if found else ""

    def record(self, function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Record it; the trainer's random numbers go on as without a graph."""
        trainer = self._trainer
        graph = torch.cuda.CUDAGraph()
        drawn = trainer.generator.get_state()
        graph.register_generator_state(trainer.generator)
        self._set_capturable(True)
        trainer.optimizer.zero_grad(set_to_none=True)  # gradients are to lie in the graph's memory
        cache = torch.is_autocast_cache_enabled()
        torch.set_autocast_cache_enabled(False)
        try:
            # Other threads may go on with their own work on the GPU meanwhile.
            recording = torch.cuda.graph(
                graph, stream=self._stream, capture_error_mode="thread_local"
            )
            with torch.cuda.device(trainer.device), recording:
                losses = function()
        except RuntimeError:
            # The old generator waits for the end of a recording that will not come.
            trainer.generator = torch.Generator(trainer.device)
            trainer.generator.set_state(drawn)
            self.end()
            raise
        finally:
            torch.set_autocast_cache_enabled(cache)
        return graph.replay, losses

    def end(self) -> None:
        """Let go of gradients that lie in the graph's memory."""
        self._trainer.optimizer.zero_grad(set_to_none=True)
        self._set_capturable(False)

    def _set_capturable(self, capturable: bool) -> None:
        for settings in self._trainer.optimizer.param_groups:
            settings["capturable"] = capturable
