"""Rows of gpu.py about a training step of lite0: ours beside the bare pass."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from common import Row, embeddings
from gpu_setup import Bench, Marks, before_each_step, each
from literal_norm import by_our_kernels, literal_groups
from torch import nn
from training import make_network

from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.losses.memories.registry import MEMORIES, MemoryInputs
from mprd.pairs.hard_pairs import HardPairs
from mprd.training.epoch import EpochTrainer, make_optimizer, train_epoch

# The goals on a quiet card: ours beside the bare pass, and milliseconds at B=256.
RATIO, MILLISECONDS = 1.05, 25


def step_config(bench: Bench, size: int, group: int) -> Config:
    """Return the settings of lite0 with a batch and batch-norm groups (0: none)."""
    identities, instances = bench.batch(size)
    group = min(group, identities * instances)
    if group and (identities * instances) % group:
        raise ValueError(f"{group} does not divide a batch of {identities} x {instances}")
    return bench.config(
        model={"bn_group_size": group},
        train={"identities": identities, "instances": instances},
    )


def open_epoch(bench: Bench, config: Config) -> Callable[[], object]:
    """Return a function that trains an epoch on fabricated images, as the stage `train` does."""
    store = PixelStore(bench.start.pixels, np.arange(bench.images), bench.device)
    network = make_network(config, bench.device)
    features, identity = embeddings(bench.images, network.dim)
    cameras = np.random.default_rng(0).integers(0, 6, bench.images)
    start = MemoryInputs(
        features=torch.from_numpy(features).to(bench.device),
        labels=torch.from_numpy(np.unique(identity, return_inverse=True)[1]).to(bench.device),
        cameras=torch.from_numpy(cameras).to(bench.device),
        weights=torch.ones(bench.images, device=bench.device),
    )
    memory = MEMORIES[config.train.memory](start, config.train)
    trainer = EpochTrainer(
        network=network,
        optimizer=make_optimizer(network, config.train, 1),
        memory=memory,
        pairs=HardPairs(memory.labels, None),
        settings=config.train,
        augmentation=config.augment,
        generator=torch.Generator(bench.device).manual_seed(0),
    )
    return lambda: train_epoch(trainer, store, cameras, 1, np.random.default_rng(0))


def our_step(bench: Bench, config: Config) -> tuple[float, float]:
    """Return the median milliseconds of a step in the second half of an epoch.

    And the seconds that the epoch took beyond steps of that length: what it costs to begin.
    """
    marks = Marks(bench.device)
    epoch = open_epoch(bench, config)
    began = time.perf_counter()
    with before_each_step(lambda _: marks.add()):
        epoch()
    bench.synchronize()
    whole = time.perf_counter() - began
    times = marks.milliseconds()
    if len(times) < config.train.iters // 2:
        raise RuntimeError(f"an epoch of {config.train.iters} steps showed {len(times)}")
    step = statistics.median(times[len(times) // 2 :])
    return step, whole - step * config.train.iters / 1000


class Bare:
    """Forward, backward and optimiser step on images that are ready."""

    def __init__(self, bench: Bench, config: Config, network: nn.Module) -> None:
        self.network, self.bench = network, bench
        self.optimizer = make_optimizer(network, config.train, 1)
        size = config.train.identities * config.train.instances
        shape = size, 3, config.data.height, config.data.width
        images = torch.randn(shape, device=bench.device)
        self.images = images.to(memory_format=torch.channels_last)
        self.target = torch.randn(size, network.dim, device=bench.device)

    def step(self) -> None:
        """Do one step."""
        x = self.network(self.images)
        self.optimizer.zero_grad(set_to_none=True)
        (x * self.target).sum().backward()
        self.optimizer.step()

    def captured(self) -> Callable[[], object]:
        """Return a function that replays the step from a CUDA graph; a CPU has none."""
        if self.bench.device.type != "cuda":
            return self.step
        for group in self.optimizer.param_groups:
            group["capturable"] = True
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.step()
        return graph.replay


def bare_steps(bench: Bench, config: Config, network: nn.Module) -> tuple[float, float]:
    """Return the milliseconds of a bare step, launched one by one and replayed."""
    bare = Bare(bench, config, network)
    return each(bench, bare.step, 30), each(bench, bare.captured(), 30)


def steps(size: int, grouped: bool) -> Callable[[Bench], list[Row]]:
    """Return the row of lite0 at a batch size: ours beside the bare pass, eager and captured."""

    def row(bench: Bench) -> list[Row]:
        config = step_config(bench, size, bench.group if grouped else 0)
        ours, start = our_step(bench, config)
        bench.ours[size, grouped] = ours
        eager, graph = bare_steps(bench, config, make_network(config, bench.device))
        count = config.train.identities * config.train.instances
        judged = size == 256 and not bench.tiny
        detail = f"bare {eager:.1f} ms eager, {graph:.1f} ms as a CUDA graph"
        if grouped:
            plain = make_network(step_config(bench, size, 0), bench.device)
            literal = bare_steps(bench, config, literal_groups(plain, config.model.bn_group_size))
            detail += f"; with one norm a group {literal[0]:.1f} and {literal[1]:.1f} ms"
        else:
            own = by_our_kernels(make_network(config, bench.device))
            passes = bare_steps(bench, config, own)
            detail += f"; with our kernels for the norms {passes[0]:.1f} and {passes[1]:.1f} ms"
        detail += f"; {count / ours * 1000:,.0f} images/s; the epoch's start took {start:.1f} s"
        return [
            Row(
                "step of lite0, camera proxies",
                size_of(config),
                f"{ours:.1f} ms",
                f"{MILLISECONDS} ms" if size == 256 else "",
                ours <= MILLISECONDS if judged else None,
                detail,
            )
        ]

    return row


def compiled(size: int, grouped: bool) -> Callable[[Bench], list[Row]]:
    """Return the row of the bare pass compiled, beside ours."""

    def row(bench: Bench) -> list[Row]:
        config = step_config(bench, size, bench.group if grouped else 0)
        torch._dynamo.reset()
        network = make_network(config, bench.device)
        network.compile(dynamic=False, backend="eager" if bench.tiny else "inductor")
        bare = Bare(bench, config, network)
        began = time.perf_counter()
        bare.step()
        bench.synchronize()
        first = time.perf_counter() - began
        plain, graph = each(bench, bare.step, 30), each(bench, bare.captured(), 30)
        ours = bench.ours.get((size, grouped)) or our_step(bench, config)[0]
        ratio = ours / min(plain, graph)
        return [
            Row(
                "step of lite0 beside the bare pass compiled",
                size_of(config),
                f"{ratio:.2f}x",
                f"{RATIO}x",
                None if bench.tiny else ratio <= RATIO,
                f"ours {ours:.1f} ms; torch.compile {plain:.1f} ms, as a CUDA graph {graph:.1f} "
                f"ms; the first step took {first:.0f} s",
            )
        ]

    return row


def size_of(config: Config) -> str:
    data, train = config.data, config.train
    groups = (
        f"groups of {config.model.bn_group_size}" if config.model.bn_group_size else "no groups"
    )
    return (
        f"{config.model.backbone.rpartition('_')[2]}, {data.height}x{data.width}, "
        f"B={train.identities * train.instances}, {groups}"
    )
