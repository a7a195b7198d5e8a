"""Probabilities at another share of true pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.gcn.calibration import at_prior, calibration, estimate_prior


def answers(share, count=20_000, seed=0):
    """Scores of true and false pairs, and the balanced posterior that belongs to them."""
    rng = np.random.default_rng(seed)
    same = rng.random(count) < share
    score = rng.normal(np.where(same, 1.0, -1.0), 1.0)
    return torch.from_numpy(1 / (1 + np.exp(-2 * score))), torch.from_numpy(same)


@given(p=st.floats(0.001, 0.999), prior=st.floats(0.01, 0.99))
@settings(max_examples=100, deadline=None)
def test_bayes_rule(p, prior):
    odds = p / (1 - p) * prior / (1 - prior)
    assert float(at_prior(torch.tensor([p], dtype=torch.float64), prior)) == pytest.approx(
        odds / (1 + odds), rel=1e-6
    )


@pytest.mark.parametrize("share", [0.05, 0.24, 0.5, 0.9])
def test_the_share_is_found_without_labels(share):
    balanced, same = answers(share)
    prior = estimate_prior(balanced)
    assert prior == pytest.approx(float(same.double().mean()), abs=0.015)
    before, after = calibration(balanced, same), calibration(at_prior(balanced, prior), same)
    assert after["brier"] <= before["brier"] + 1e-4
    for row in after["reliability"]:
        if row["pairs"] > 500:
            assert row["probability"] == pytest.approx(row["true"], abs=0.05)


def test_degenerate_populations():
    assert estimate_prior(torch.empty(0)) == 0.5
    assert estimate_prior(torch.ones(10)) == 0.99
    assert estimate_prior(torch.zeros(10)) == 0.01
    assert at_prior(torch.tensor([0.0, 1.0]), 0.01).tolist() == [0.0, 1.0]


def test_reliability_counts_every_pair():
    p = torch.tensor([0.0, 0.05, 0.31, 0.99, 1.0])
    same = torch.tensor([False, True, False, True, True])
    found = calibration(p, same)
    assert [row["pairs"] for row in found["reliability"]] == [2, 1, 2]
    assert found["reliability"][0]["true"] == 0.5
    assert found["brier"] == pytest.approx(np.mean((p.numpy() - same.numpy()) ** 2), rel=1e-5)
