"""Batch norm of equally large groups of images, each with its own statistics.

Three ways to the same numbers, each the fastest somewhere. `by_formula` states the computation over
(groups, images, channels, positions) for torch's compiler, `by_triton` has kernels of its own for a
GPU, and `by_kernels` passes slices of one output to torch's kernels.
"""

import os
import shutil
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def normalise(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running: tuple[Tensor, Tensor] | None,
    *,
    groups: int,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise each of `groups` consecutive parts of a batch, in the layout of `x`.

    Args:
        x: (B, C, ...), B a multiple of `groups`; any memory format.
        weight: (C,), in the precision of the statistics: float32, or float64 for float64 inputs.
        bias: (C,).
        running: mean and variance, (C,) each, which move by `momentum` for each group, one after
            the other.
        groups: how many.
        momentum: of one group.
        eps: added to the variance.
    """
    options: dict[str, Any] = {"groups": groups, "momentum": momentum, "eps": eps}
    if torch.compiler.is_compiling():
        return by_formula(x, weight, bias, running, **options)
    if x.is_cuda and triton_runs():
        from mprd.models.grouped_norm_triton import by_triton, takes

        if takes(x):
            return by_triton(x, weight, bias, running, **options)
    return by_kernels(x, weight, bias, running, **options)


@cache
def triton_runs() -> bool:
    """Tell whether Triton is here and what it needs to build its launchers: a C compiler."""
    compilers = [os.environ["CC"]] if "CC" in os.environ else ["clang", "gcc"]
    header = Path(sysconfig.get_path("include"), "Python.h")
    found = find_spec("triton") is not None and any(map(shutil.which, compilers))
    return found and header.exists()


def by_formula(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running: tuple[Tensor, Tensor] | None,
    *,
    groups: int,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise (B, C, ...) by formulas that a compiler makes into two passes over `x`.

    The running statistics see one group after the other, as with one norm a group; a compiler makes
    one kernel of that. Without a compiler each operation below is a pass over memory.
    """
    split = x.unflatten(0, (groups, -1))
    wide = split if x.dtype == torch.float64 else split.float()
    sums = [1, *range(3, split.ndim)]
    variance, mean = torch.var_mean(wide, sums, correction=0, keepdim=True)
    if running is not None:
        count = wide[0].numel() // wide.shape[2]
        with torch.no_grad():
            unbiased = variance.detach() * (count / (count - 1))
            for statistic, found in zip(running, (mean.detach(), unbiased), strict=True):
                for value in found.flatten(1):
                    statistic.lerp_(value, momentum)
    y = (wide - mean) * torch.rsqrt(variance + eps)
    shape = [-1] + [1] * (x.ndim - 2)
    if weight is not None:
        y = y * weight.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    return y.to(x.dtype).flatten(0, 1)


def by_kernels(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running: tuple[Tensor, Tensor] | None,
    *,
    groups: int,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise (B, C, ...) by torch's kernels, each group into its slice of one output.

    The kernels move the running statistics, one group after the other.
    """
    return _Kernels.apply(x, weight, bias, running, groups, momentum, eps)


class _Kernels(torch.autograd.Function):
    """For the backward pass `x` and the statistics of each group are kept, nothing else."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running: tuple[Tensor, Tensor] | None,
        groups: int,
        momentum: float,
        eps: float,
    ) -> Tensor:
        """Normalise each group."""
        y = torch.empty_like(x)
        parameter = next((p for p in (weight, *(running or ())) if p is not None), x)
        mean = parameter.new_empty(groups, x.shape[1])
        scale = torch.empty_like(mean)
        before = running or (None, None)
        parts = zip(x.chunk(groups), y.chunk(groups), mean, scale, strict=True)
        for part, *out in parts:
            torch.native_batch_norm(
                part, weight, bias, before[0], before[1], True, momentum, eps, out=tuple(out)
            )
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.eps = eps
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of `x`, weight and bias."""
        x, weight, mean, scale = ctx.saved_tensors
        groups, wanted = len(mean), list(ctx.needs_input_grad[:3])
        sums = [torch.zeros_like(mean[0]) if want else None for want in wanted[1:]]
        to_x = torch.empty_like(x) if wanted[0] else None
        parts = zip(gradient.chunk(groups), x.chunk(groups), mean, scale, strict=True)
        for number, (part, inputs, *statistics) in enumerate(parts):
            found, *of_parameters = torch.ops.aten.native_batch_norm_backward(
                part, inputs, weight, None, None, *statistics, True, ctx.eps, wanted
            )
            if to_x is not None:
                to_x.chunk(groups)[number].copy_(found)
            for total, added in zip(sums, of_parameters, strict=True):
                if total is not None:
                    total += added
        return to_x, *sums, None, None, None, None
