"""Kernels of grouped batch norm for a GPU: three launches forward, three backward.

They take channels-last inputs, which lie in memory as (groups, rows, channels): a row is one
position of one image. The first kernel sums over a share of a group's rows, the second joins the
shares, the third normalises. Sums are float32, in a fixed order.
"""
# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

_TILE = 4096  # values of an input that a program holds at a time
_PROGRAMS = 1024  # that sum at the same time, about
_JOINED = 64, 16  # shares and channels that a program joins at a time
_WARPS = 8
_LARGEST = 2**31  # the kernels count in 32 bits

# One kernel for all sizes: to compile one for each costs more than it gains.
_jit = triton.jit(do_not_specialize=["rows", "share", "parts", "units", "groups", "channels"])


def takes(x: Tensor) -> bool:
    """Tell whether the kernels are made for this input."""
    rows = x.ndim == 2 and x.is_contiguous()
    images = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return (rows or images) and x.dtype != torch.float64 and x.numel() < _LARGEST


def by_triton(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running: tuple[Tensor, Tensor] | None,
    *,
    groups: int,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise (B, C) or channels-last (B, C, H, W) on a GPU; see `takes`.

    The running statistics see one group after the other, in one loop of the last kernel.
    """
    return _Triton.apply(x, weight, bias, running, groups, momentum, eps)


class _Triton(torch.autograd.Function):
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
        plan = _Plan(x, groups)
        y = torch.empty_like(x)
        sums, statistics = plan.room(x)
        mean, variance = running or (None, None)
        with torch.cuda.device_of(x):
            _sum_values[plan.shares](x, sums, *plan.sizes, *plan.tile, num_warps=_WARPS)
            _join[plan.blocks](x, sums, statistics, groups, *plan.shape, *_JOINED, True)
            _normalise[plan.tiles](
                x, y, statistics, weight, bias, mean, variance, momentum, eps, groups, *plan.sizes,
                *plan.tile, num_warps=_WARPS,
            )  # fmt: skip
        ctx.save_for_backward(x, weight, statistics)
        ctx.eps = eps
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of `x`, weight and bias."""
        x, weight, statistics = ctx.saved_tensors
        groups = statistics.shape[1]
        plan = _Plan(x, groups)
        layout = torch.channels_last if x.ndim == 4 else torch.contiguous_format
        gradient = gradient.contiguous(memory_format=layout)
        to_x = torch.empty_like(x)
        to_weight, to_bias = statistics.new_empty(2, plan.channels)
        sums, means = plan.room(x)
        with torch.cuda.device_of(x):
            _sum_gradients[plan.shares](
                x, gradient, sums, statistics, ctx.eps, groups, *plan.sizes, *plan.tile,
                num_warps=_WARPS,
            )  # fmt: skip
            _join[plan.blocks](x, sums, means, groups, *plan.shape, *_JOINED, False)
            _differentiate[plan.tiles](
                x, gradient, to_x, statistics, means, weight, to_weight, to_bias, ctx.eps, groups,
                *plan.sizes, *plan.tile, num_warps=_WARPS,
            )  # fmt: skip
        found = zip((to_x, to_weight, to_bias), ctx.needs_input_grad[:3], strict=True)
        return *(g if wanted else None for g, wanted in found), None, None, None, None


class _Plan:
    """How the kernels share out an input."""

    def __init__(self, x: Tensor, groups: int) -> None:
        self.groups, self.channels = groups, x.shape[1]
        rows = x.numel() // (groups * self.channels)
        width = max(16, min(64, triton.next_power_of_2(self.channels)))
        height = _TILE // width
        columns = triton.cdiv(self.channels, width)
        parts = min(triton.cdiv(rows, 4 * height), triton.cdiv(_PROGRAMS, groups * columns))
        share = triton.cdiv(triton.cdiv(rows, parts), height) * height
        self.parts = triton.cdiv(rows, share)
        # The compiler reads several channels at a time where it knows what divides their number.
        unit = next(u for u in (16, 8, 4, 2, 1) if self.channels % u == 0)
        self.sizes = rows, share, self.parts, self.channels // unit, unit
        self.shape = rows, self.parts, self.channels
        self.tile = height, width
        self.shares = columns, self.parts, groups
        self.blocks = triton.cdiv(self.channels, _JOINED[1]), groups
        self.tiles = triton.cdiv(rows, height), columns, groups

    def room(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return room for two sums of each share, and for two figures of each group."""
        shape = (2, self.groups, self.parts, self.channels), (2, self.groups, self.channels)
        sums, joined = (x.new_empty(s, dtype=torch.float32) for s in shape)
        return sums, joined


@_jit
def _sum_values(
    x, sums, rows, share, parts, units,
    UNIT: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Sum x and its square, less the first row: no digits are lost to a large mean."""
    channels = units * UNIT
    group, part = tl.program_id(2), tl.program_id(1)
    column = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    x += group * rows * channels
    first = tl.load(x + column, mask=column < channels, other=0).to(tl.float32)
    last = tl.minimum((part + 1) * share, rows)
    total = tl.zeros([HEIGHT, WIDTH], tl.float32)
    square = tl.zeros([HEIGHT, WIDTH], tl.float32)
    for start in range(part * share, last, HEIGHT):
        row = start + tl.arange(0, HEIGHT)
        inside = (row < last)[:, None] & (column < channels)[None, :]
        place = row[:, None] * channels + column[None, :]
        value = tl.load(x + place, mask=inside, other=0).to(tl.float32) - first[None, :]
        value = tl.where(inside, value, 0.0)
        total += value
        square += value * value
    place = (group * parts + part) * channels + column
    shape = tl.num_programs(2) * parts * channels
    tl.store(sums + place, tl.sum(total, 0), mask=column < channels)
    tl.store(sums + shape + place, tl.sum(square, 0), mask=column < channels)


@_jit
def _sum_gradients(
    x, gradient, sums, statistics, eps, groups, rows, share, parts, units,
    UNIT: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Sum the gradient, and the gradient times the normalised x."""
    channels = units * UNIT
    group, part = tl.program_id(2), tl.program_id(1)
    column = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    mean, scale = _mean_and_scale(statistics, eps, group, groups, channels, column)
    x += group * rows * channels
    gradient += group * rows * channels
    last = tl.minimum((part + 1) * share, rows)
    total = tl.zeros([HEIGHT, WIDTH], tl.float32)
    product = tl.zeros([HEIGHT, WIDTH], tl.float32)
    for start in range(part * share, last, HEIGHT):
        row = start + tl.arange(0, HEIGHT)
        inside = (row < last)[:, None] & (column < channels)[None, :]
        place = row[:, None] * channels + column[None, :]
        value = tl.load(x + place, mask=inside, other=0).to(tl.float32)
        slope = tl.load(gradient + place, mask=inside, other=0).to(tl.float32)
        total += slope
        product += slope * (value - mean[None, :])
    place = (group * parts + part) * channels + column
    shape = groups * parts * channels
    tl.store(sums + place, tl.sum(total, 0), mask=column < channels)
    tl.store(sums + shape + place, tl.sum(product, 0) * scale, mask=column < channels)


@_jit
def _join(
    x, sums, joined, groups, rows, parts, channels,
    PARTS: tl.constexpr, WIDTH: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """Join the sums of a group's shares to means per row; those of values to mean and variance."""
    group = tl.program_id(1)
    column = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH)
    shape = groups * parts * channels
    first = tl.zeros([PARTS, WIDTH], tl.float32)
    second = tl.zeros([PARTS, WIDTH], tl.float32)
    for start in range(0, parts, PARTS):
        part = start + tl.arange(0, PARTS)
        inside = (part < parts)[:, None] & (column < channels)[None, :]
        place = (group * parts + part)[:, None] * channels + column[None, :]
        first += tl.load(sums + place, mask=inside, other=0)
        second += tl.load(sums + shape + place, mask=inside, other=0)
    first = tl.sum(first, 0) / rows
    second = tl.sum(second, 0) / rows
    if VALUES:
        second = tl.maximum(second - first * first, 0.0)
        x += group * rows * channels + column
        first += tl.load(x, mask=column < channels, other=0).to(tl.float32)
    place = group * channels + column
    tl.store(joined + place, first, mask=column < channels)
    tl.store(joined + groups * channels + place, second, mask=column < channels)


@_jit
def _normalise(
    x, y, statistics, weight, bias, running_mean, running_variance, momentum, eps, groups,
    rows, share, parts, units,
    UNIT: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Normalise a tile; the first program of some channels moves their running statistics."""
    channels = units * UNIT
    group = tl.program_id(2)
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    row = tl.program_id(0) * HEIGHT + tl.arange(0, HEIGHT)
    known = column < channels
    mean, scale = _mean_and_scale(statistics, eps, group, groups, channels, column)
    if weight is not None:
        scale *= tl.load(weight + column, mask=known, other=0)
    shift = -mean * scale
    if bias is not None:
        shift += tl.load(bias + column, mask=known, other=0)
    inside = (row < rows)[:, None] & known[None, :]
    place = group * rows * channels + row[:, None] * channels + column[None, :]
    value = tl.load(x + place, mask=inside, other=0).to(tl.float32)
    value = value * scale[None, :] + shift[None, :]
    tl.store(y + place, value.to(y.dtype.element_ty), mask=inside)
    if running_mean is not None:  # noqa: SIM102 (the compiler decides this one)
        if (tl.program_id(0) == 0) & (group == 0):
            before = tl.load(running_mean + column, mask=known, other=0)
            spread = tl.load(running_variance + column, mask=known, other=0)
            for other in range(groups):
                found = statistics + other * channels + column
                seen = tl.load(found, mask=known, other=0)
                before += momentum * (seen - before)
                seen = tl.load(found + groups * channels, mask=known, other=0)
                spread += momentum * (seen * (rows / (rows - 1)) - spread)
            tl.store(running_mean + column, before, mask=known)
            tl.store(running_variance + column, spread, mask=known)


@_jit
def _differentiate(
    x, gradient, to_x, statistics, means, weight, to_weight, to_bias, eps, groups,
    rows, share, parts, units,
    UNIT: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Differentiate a tile; the first program of some channels sums over the groups."""
    channels = units * UNIT
    group = tl.program_id(2)
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    row = tl.program_id(0) * HEIGHT + tl.arange(0, HEIGHT)
    known = column < channels
    mean, scale = _mean_and_scale(statistics, eps, group, groups, channels, column)
    found = means + group * channels + column
    slope_mean = tl.load(found, mask=known, other=0)
    product_mean = tl.load(found + groups * channels, mask=known, other=0)
    factor = scale
    if weight is not None:
        factor *= tl.load(weight + column, mask=known, other=0)
    inside = (row < rows)[:, None] & known[None, :]
    place = group * rows * channels + row[:, None] * channels + column[None, :]
    value = tl.load(x + place, mask=inside, other=0).to(tl.float32)
    slope = tl.load(gradient + place, mask=inside, other=0).to(tl.float32)
    value = (value - mean[None, :]) * (scale * product_mean)[None, :]
    slope = (slope - slope_mean[None, :] - value) * factor[None, :]
    tl.store(to_x + place, slope.to(to_x.dtype.element_ty), mask=inside)
    if (tl.program_id(0) == 0) & (group == 0):
        of_bias = tl.zeros([WIDTH], tl.float32)
        of_weight = tl.zeros([WIDTH], tl.float32)
        for other in range(groups):
            found = means + other * channels + column
            of_bias += tl.load(found, mask=known, other=0) * rows
            of_weight += tl.load(found + groups * channels, mask=known, other=0) * rows
        tl.store(to_bias + column, of_bias, mask=known)
        tl.store(to_weight + column, of_weight, mask=known)


@triton.jit
def _mean_and_scale(statistics, eps, group, groups, channels, column):
    place = statistics + group * channels + column
    mean = tl.load(place, mask=column < channels, other=0)
    variance = tl.load(place + groups * channels, mask=column < channels, other=0)
    return mean, 1 / tl.sqrt(variance + eps)
