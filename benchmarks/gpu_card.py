"""Rows of gpu.py about the card: its rates, what share of them a step uses, a step's profile."""

from collections import Counter

import torch
from common import Row
from gpu_setup import Bench, before_each_step, each
from gpu_steps import Bare, open_epoch, our_step, size_of
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from training import make_network

PROFILED = 5  # steps, after a check of the losses and before the next
KERNELS = 10  # that a profile names
SHARE = 0.6  # the goal on a quiet card, of the rate that binds


def card(bench: Bench) -> list[Row]:
    """Measure what the card gives at most."""
    copied, product = bench.rates
    size = torch.cuda.get_device_name() if bench.device.type == "cuda" else "CPU"
    return [
        Row("copy, bytes read and written", size, f"{copied / 1e9:,.0f} GB/s"),
        Row("bf16 matrix product", size, f"{product / 1e12:,.3g} TFLOP/s"),
    ]


def resnet50(bench: Bench) -> list[Row]:
    """Say what share of the card's rates a step of ResNet-50 uses."""
    config = bench.config(
        model={"bn_group_size": 0} | ({} if bench.tiny else {"backbone": "resnet50"}),
        train={
            "identities": 4,
            "memory": "cluster",
            "momentum": 0.1,
            "iters": 8 if bench.tiny else 100,
        },
    )
    network = make_network(config, bench.device)
    bare = Bare(bench, config, network)
    bare.step()
    with FlopCounterMode(display=False) as flops:
        bare.step()
    with _Traffic() as traffic:
        bare.step()
    eager, graph = each(bench, bare.step, 30), each(bench, bare.captured(), 30)
    ours, _ = our_step(bench, config)
    copied, product = bench.rates

    def shares(milliseconds: float) -> tuple[float, float]:
        """Of the matrix rate, and of the memory rate."""
        taken = milliseconds / 1000
        return flops.get_total_flops() / taken / product, traffic.bytes / taken / copied

    matrix, memory = shares(ours)
    binds = "bf16 rate" if matrix > memory else "memory rate"
    share = max(matrix, memory)
    words = "; ".join(
        f"{name} {taken:.1f} ms: {a:.0%} of the bf16 rate, {b:.0%} of the memory rate"
        for name, taken in (("ours", ours), ("bare", eager), ("bare as a CUDA graph", graph))
        for a, b in (shares(taken),)
    )
    return [
        Row(
            "step of ResNet-50, share of the card",
            size_of(config),
            f"{share:.0%} of the {binds}",
            f"{SHARE:.0%}",
            None if bench.tiny else share >= SHARE,
            f"{words}; {flops.get_total_flops() / 1e12:.2g} TFLOP, {traffic.bytes / 1e9:.1f} GB "
            "that its operations read and write one by one",
        )
    ]


class _Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write; views and allocations do neither."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if not function.is_view and not function.name().startswith("aten::empty"):
            tensors = torch.utils._pytree.tree_leaves((args, kwargs, result))
            self.bytes += sum(t.nbytes for t in tensors if isinstance(t, torch.Tensor))
        return result


def step_profile(bench: Bench) -> list[Row]:
    """Count launches, synchronisations and copies of a step as shipped, and name its kernels."""
    config = bench.config()
    epoch = open_epoch(bench, config)
    first = max(1, config.train.iters // 2)
    activities = [ProfilerActivity.CPU]
    if bench.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    profiler = profile(activities=activities)
    last = first + min(PROFILED, config.train.iters - first - 1)

    def watch(step: int) -> None:
        if step == first:
            bench.synchronize()
            profiler.start()
        elif step == last:
            bench.synchronize()
            profiler.stop()

    with before_each_step(watch):
        epoch()
    calls = Counter(event.name for event in profiler.events())
    count = last - first

    def a_step(*parts: str) -> float:
        found = sum(n for name, n in calls.items() if name.startswith(parts))
        return found / count

    # An operator has its kernels' time, too: on a GPU only the kernels themselves count.
    cuda = bench.device.type == "cuda"
    where = DeviceType.CUDA if cuda else DeviceType.CPU
    averages = [
        e for e in profiler.key_averages() if e.device_type == where and not e.is_user_annotation
    ]
    taken = {e.key: e.self_device_time_total if cuda else e.self_cpu_time_total for e in averages}
    times = {e.key: e.count / count for e in averages}
    top = ", ".join(
        f"{key[:60]} {taken[key] / count / 1000:.2f} ms ({times[key]:.0f})"
        for key in sorted(taken, key=taken.__getitem__, reverse=True)[:KERNELS]
    )
    whole = sum(taken.values()) / count / 1000
    return [
        Row(
            "launches a step, as shipped",
            size_of(config),
            f"{a_step('cudaLaunchKernel', 'cuLaunchKernel'):.0f}, and "
            f"{a_step('cudaGraphLaunch'):.1f} graphs",
            detail=f"{a_step('cudaStreamSynchronize', 'cudaEventSynchronize'):.1f} waits for the "
            f"device, "
            f"{a_step('cudaMemcpy'):.1f} copies ({a_step('Memcpy HtoD'):.1f} from the host, "
            f"{a_step('Memcpy DtoH'):.1f} to it), {a_step('aten::nonzero'):.1f} nonzero, "
            f"{a_step('aten::_unique', 'aten::unique'):.1f} unique, "
            f"{a_step('aten::cat'):.1f} cat; {count} steps",
        ),
        Row("kernels of a step, as shipped", size_of(config), f"{whole:.1f} ms", detail=top),
    ]
