"""The kernels for a GPU in Triton's interpreter: test_grouped_norm.py runs this file."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.models.grouped_norm_triton import by_triton, takes
from tests.models.test_grouped_norm import assert_same, problem, results

EXACT = {"rtol": 1e-3, "atol": 1e-4}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((12, 5, 4, 3), 3),
        ((16, 6), 4),
        ((4, 16, 4, 4), 1),
        ((8, 70, 20, 10), 2),  # several blocks of channels and several tiles
        ((4, 8, 40, 64), 2),  # several shares
    ],
)
def test_it_is_one_norm_a_group(shape, groups, affine):
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    given = problem(shape, layout=layout, affine=affine)
    assert takes(given[0])
    assert_same(by_triton, given, groups=groups, **EXACT)


@settings(deadline=None, max_examples=6)
@given(
    groups=st.integers(1, 4),
    size=st.integers(2, 4),
    channels=st.integers(1, 40),
    height=st.integers(1, 5),
    tracked=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_shape(groups, size, channels, height, tracked, seed):
    shape = groups * size, channels, height, 4
    x, weight, bias, running, gradient = problem(shape, layout=torch.channels_last, seed=seed)
    given = x, weight, bias, running if tracked else None, gradient
    assert_same(by_triton, given, groups=groups, **EXACT)


def test_bfloat16():
    """The interpreter cuts digits off where a GPU rounds."""
    given = problem((32, 24, 6, 4), torch.bfloat16, torch.channels_last)
    assert_same(by_triton, given, groups=4, rtol=3e-2, atol=3e-2)
    *_, mean, variance = results(by_triton, *given, groups=4)
    assert mean.dtype == variance.dtype == torch.float32


def test_a_large_mean_costs_no_digits():
    x, *rest = problem((8, 4, 8, 8), layout=torch.channels_last)
    x = (x.detach() + 1000).requires_grad_()
    assert_same(by_triton, (x, *rest), groups=2, rtol=1e-3, atol=2e-3)


def test_frozen_parameters_and_an_expanded_gradient():
    x, weight, bias, running, _ = problem((8, 4, 3, 5), layout=torch.channels_last)
    gradient = torch.ones(1, 1, 1, 1).expand(x.shape)
    given = x, weight, bias.detach(), running, gradient
    assert_same(by_triton, given, groups=2, **EXACT)


def test_what_it_does_not_take():
    assert not takes(torch.zeros(4, 3, 2, 2))
    assert not takes(torch.zeros(4, 3, 2))
    assert not takes(torch.zeros(4, 3, dtype=torch.float64))
    assert takes(torch.zeros(4, 3))
