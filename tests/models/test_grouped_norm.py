"""Grouped batch norm in one pass against one norm a group, put together."""

import copy
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import BatchNormAct2d
from torch import nn

from mprd.models.batchnorm import group_batchnorm
from mprd.models.grouped_norm import by_formula, by_kernels, triton_runs

WAYS = pytest.mark.parametrize("way", [by_formula, by_kernels])
LAYOUTS = pytest.mark.parametrize(
    "layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)


def literal(x, weight, bias, running, *, groups, momentum, eps):
    """Normalise one group after the other."""
    mean, variance = running or (None, None)
    parts = [
        F.batch_norm(part, mean, variance, weight, bias, True, momentum, eps)
        for part in x.chunk(groups)
    ]
    return torch.cat(parts)


def problem(shape, dtype=torch.float32, layout=torch.contiguous_format, *, affine=True, seed=0):
    """Return inputs whose groups differ, parameters, running statistics and a gradient."""
    draw = torch.Generator().manual_seed(seed)
    normal = partial(torch.randn, generator=draw)
    precise = torch.promote_types(dtype, torch.float32)
    x = normal(shape) * (1 + normal(shape[0], *[1] * (len(shape) - 1)).abs()) + 1
    x, gradient = (t.to(dtype).contiguous(memory_format=layout) for t in (x, normal(shape)))
    channels = shape[1]
    weight, bias = (normal(channels, dtype=precise).requires_grad_() for _ in range(2))
    running = normal(channels, dtype=precise), normal(channels, dtype=precise).abs()
    return x.requires_grad_(), *((weight, bias) if affine else (None, None)), running, gradient


def results(way, x, weight, bias, running, gradient, **options):
    """Return the output, the gradients and the running statistics after."""
    running = running and tuple(statistic.clone() for statistic in running)
    y = way(x, weight, bias, running, **{"momentum": 0.1, "eps": 1e-5, **options})
    inputs = [t for t in (x, weight, bias) if t is not None and t.requires_grad]
    return [y, *torch.autograd.grad(y, inputs, gradient), *(running or ())]


def assert_same(way, given, *, groups, **tolerance):
    found, expected = (results(w, *given, groups=groups) for w in (way, literal))
    assert found[0].stride() == given[0].stride()
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, **tolerance)


@WAYS
@LAYOUTS
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_one_norm_a_group(way, layout, affine, dtype):
    given = problem((12, 5, 4, 3), dtype, layout, affine=affine)
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if dtype == torch.float64 else {}
    assert_same(way, given, groups=3, **tolerance or {"rtol": 1e-4, "atol": 1e-5})


@WAYS
@LAYOUTS
def test_bfloat16_keeps_its_statistics_in_float32(way, layout):
    given = problem((64, 8, 6, 4), torch.bfloat16, layout)
    assert_same(way, given, groups=4, rtol=2e-2, atol=2e-2)
    *_, mean, variance = results(way, *given, groups=4)
    *_, exact_mean, exact_variance = results(
        literal, given[0].detach().double().requires_grad_(),
        *(t.detach().double().requires_grad_() for t in given[1:3]),
        tuple(t.double() for t in given[3]), given[4].double(), groups=4,
    )  # fmt: skip
    torch.testing.assert_close(mean.double(), exact_mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(variance.double(), exact_variance, rtol=1e-5, atol=1e-5)


@WAYS
@settings(deadline=None, max_examples=40)
@given(
    groups=st.integers(1, 5),
    size=st.integers(1, 4),
    channels=st.integers(1, 9),
    space=st.lists(st.integers(1, 4), max_size=3),
    affine=st.booleans(),
    tracked=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_shape(way, groups, size, channels, space, affine, tracked, seed):
    shape = (groups * size, channels, *space)
    if size * torch.Size(space).numel() == 1:
        return  # one value has no variance
    x, *rest, running, gradient = problem(shape, torch.float64, affine=affine, seed=seed)
    given = x, *rest, running if tracked else None, gradient
    # Two equal values have no variance, and a scale of 1/sqrt(eps).
    assert_same(way, given, groups=groups, rtol=1e-6, atol=1e-6)


@WAYS
@LAYOUTS
def test_gradients(way, layout):
    x, weight, bias, _, _ = problem((6, 2, 2, 3), torch.float64, layout)
    norm = partial(way, running=None, groups=3, momentum=0.1, eps=1e-5)
    assert torch.autograd.gradcheck(norm, (x, weight, bias))
    assert torch.autograd.gradcheck(lambda x: norm(x, None, None), (x,))
    assert torch.autograd.gradcheck(lambda w: norm(x.detach(), w, bias), (weight,))


@WAYS
def test_running_statistics_move_group_by_group(way):
    """Three groups move r to (1-m)^3 r + m (1-m)^2 s_1 + m (1-m) s_2 + m s_3."""
    given = problem((6, 2, 5), torch.float64)
    x, m = given[0].detach(), 0.3
    *_, mean, variance = results(way, *given, groups=3, momentum=m)
    for found, before, of in zip((mean, variance), given[3], ("mean", "var"), strict=True):
        values = [getattr(part.transpose(0, 1).flatten(1), of)(1) for part in x.chunk(3)]
        expected = (1 - m) ** 3 * before + sum(
            m * (1 - m) ** (2 - i) * value for i, value in enumerate(values)
        )
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_backward_pass_keeps_the_input_and_statistics_only(dtype):
    x, weight, bias, running, _ = problem((16, 8, 4, 4), dtype)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        by_kernels(x, weight, bias, running, groups=4, momentum=0.1, eps=1e-5)
    large = [tensor for tensor in kept if tensor.numel() >= x.numel()]
    assert [tensor.data_ptr() for tensor in large] == [x.data_ptr()]


@WAYS
def test_an_expanded_gradient(way):
    given = problem((8, 3, 4, 4), torch.float64, torch.channels_last)
    gradient = torch.ones(1, 1, 1, 1, dtype=torch.float64).expand(given[0].shape)
    assert_same(way, (*given[:4], gradient), groups=2)


KINDS = [
    (nn.BatchNorm1d, (16, 6)),
    (nn.BatchNorm1d, (16, 6, 5)),
    (nn.BatchNorm2d, (16, 6, 4, 3)),
    (nn.BatchNorm3d, (8, 6, 2, 3, 2)),
    (partial(nn.BatchNorm2d, affine=False), (16, 6, 4, 3)),
    (partial(nn.BatchNorm2d, track_running_stats=False), (16, 6, 4, 3)),
    (partial(nn.BatchNorm2d, momentum=None), (16, 6, 4, 3)),
    (partial(BatchNormAct2d, act_layer=nn.ReLU6), (16, 6, 4, 3)),
    (partial(BatchNormAct2d, act_layer=nn.SiLU, drop_layer=nn.Identity), (16, 6, 4, 3)),
    (partial(BatchNormAct2d, apply_act=False), (16, 6, 4, 3)),
]


def two_steps(layer, x, forward=None):
    """Return what two training steps of a layer give, and its state after them."""
    found = []
    for step in (x, 2 * x):
        leaf = step.detach().requires_grad_()
        y = (forward or layer)(leaf)
        y.square().cumsum(0).mean().backward()
        found += [y.detach(), leaf.grad]
    return found + [p.grad for p in layer.parameters()] + list(layer.state_dict().values())


def trained(layer, x, groups, *, grouped):
    """Return two steps of a copy of a plain layer, with groups, or once a group."""
    layer = copy.deepcopy(layer).train()
    if grouped:
        return two_steps(group_batchnorm(layer, len(x) // groups), x)
    if layer.momentum is not None:
        layer.momentum = 1 - (1 - layer.momentum) ** (1 / groups)
    return two_steps(layer, x, lambda x: torch.cat([layer(part) for part in x.chunk(groups)]))


@pytest.mark.parametrize(("kind", "shape"), KINDS)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_layers_are_one_norm_a_group(kind, shape, groups):
    x = problem(shape)[0]
    layer = kind(6)
    ours, theirs = (trained(layer, x, groups, grouped=grouped) for grouped in (True, False))
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNormAct2d])
def test_layers_under_autocast(kind, layout):
    """A convolution gives bfloat16; the norm keeps that, with float32 parameters."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 8, 3), kind(8)).to(memory_format=layout).train()
    grouped = group_batchnorm(copy.deepcopy(plain), 4)
    x = torch.randn(8, 3, 6, 6).contiguous(memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = grouped(x), torch.cat([plain(part) for part in x.split(4)])
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=layout)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    for ours, theirs in zip(grouped.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-2, atol=5e-2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_a_layer_in_another_precision(dtype):
    layer = nn.BatchNorm2d(6).to(dtype)
    x = problem((8, 6, 4, 3))[0].detach().to(dtype)
    ours, theirs = (trained(layer, x, 2, grouped=grouped) for grouped in (True, False))
    for found, expected in zip(ours, theirs, strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected)


def test_evaluation_and_a_frozen_layer():
    plain = BatchNormAct2d(6)
    grouped = group_batchnorm(copy.deepcopy(plain), 4).eval()
    x = problem((8, 6, 4, 3))[0]
    assert torch.equal(grouped(x), plain.eval()(x))
    frozen = group_batchnorm(nn.BatchNorm2d(6).requires_grad_(False), 4).train()
    with torch.no_grad():
        without = frozen(x)
    assert torch.equal(frozen(x), without)
    (found,) = torch.autograd.grad(frozen(x).square().cumsum(0).sum(), x)
    assert torch.isfinite(found).all()
    assert frozen.num_batches_tracked == 6


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (nn.BatchNorm2d, (8, 6), "expected 4D input"),
        (nn.BatchNorm1d, (8,), "expected 2D or 3D input"),
    ],
)
def test_other_shapes_are_refused(kind, shape, message):
    with pytest.raises(ValueError, match=message):
        group_batchnorm(kind(6), 4).train()(torch.zeros(shape))


def test_groups_of_one_value_are_refused():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        group_batchnorm(nn.BatchNorm1d(6), 1).train()(torch.zeros(4, 6))
    y = group_batchnorm(nn.BatchNorm2d(6), 1).train()(torch.zeros(4, 6, 2, 2))
    assert torch.equal(y, torch.zeros(4, 6, 2, 2))


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNormAct2d])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_compiler_sees_one_graph(kind, dtype):
    torch._dynamo.reset()
    x = problem((16, 6, 4, 3), dtype, torch.channels_last)[0].detach()
    layer = kind(6)
    expected = trained(layer, x, 4, grouped=True)
    group_batchnorm(layer, 4).train().compile(fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(two_steps(layer, x), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-2, atol=2e-2)


def test_the_kernels_for_a_gpu_in_their_interpreter():
    pytest.importorskip("triton")
    script = Path(__file__).with_name("triton_kernels.py")
    root = script.parents[2]
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(script)]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(line, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_triton_needs_a_compiler(monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert not triton_runs.__wrapped__()
