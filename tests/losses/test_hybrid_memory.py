"""The hybrid memory and its contrast against a literal version of the paper's equations."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.config import TrainConfig
from mprd.losses.cluster_contrast import cluster_contrast_loss
from mprd.losses.memories.hybrid import HybridMemory, with_single_classes
from mprd.losses.memories.registry import MEMORIES, MemoryInputs


def unit(n, d, seed):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def literal_loss(x, v, labels, rows, temperature):
    """Eq. 2 for one image at a time: clusters by their mean instance, all others by themselves."""
    losses = []
    clusters = sorted({int(c) for c in labels if c >= 0})
    for f, row in zip(x, rows, strict=True):
        terms, positive = [], None
        for c in clusters:
            members = [v[i] for i in range(len(labels)) if labels[i] == c]
            score = float(f @ torch.stack(members).mean(dim=0)) / temperature
            terms.append(score)
            positive = score if labels[row] == c else positive
        for i in range(len(labels)):
            if labels[i] < 0:
                score = float(f @ v[i]) / temperature
                terms.append(score)
                positive = score if i == row else positive
        losses.append(float(torch.tensor(terms).logsumexp(0)) - positive)
    return sum(losses) / len(losses)


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(-1, 3), min_size=2, max_size=12),
    seed=st.integers(0, 999),
)
def test_contrast_and_updates_follow_the_equations(labels, seed):
    generator = torch.Generator().manual_seed(seed)
    used = sorted({c for c in labels if c >= 0})
    labels = torch.tensor([used.index(c) if c >= 0 else -1 for c in labels])
    v, count = unit(len(labels), 5, seed), len(labels)
    memory = HybridMemory(v, labels, 0.2)
    expected = v.clone()
    for step in range(2):
        rows = torch.randint(count, (6,), generator=generator)
        x = unit(6, 5, seed + 1 + step)
        found = cluster_contrast_loss(x, memory.labels[rows], memory.prototypes, temperature=0.05)
        assert float(found) == pytest.approx(
            literal_loss(x, expected, labels, rows.tolist(), 0.05), abs=1e-4
        )
        memory.update(rows, x)
        for row, f in zip(rows.tolist(), x, strict=True):  # a repeated image moves again
            expected[row] = F.normalize(0.2 * expected[row] + 0.8 * f, dim=0)
        assert torch.allclose(memory.instances, expected, atol=1e-6)


def test_outliers_are_numbered_behind_the_clusters():
    assert with_single_classes(torch.tensor([1, -1, 0, -1, 1])).tolist() == [1, 2, 0, 3, 1]
    assert with_single_classes(torch.tensor([-1, -1])).tolist() == [0, 1]


def test_built_by_name_and_apart_from_what_it_starts_from():
    features = unit(4, 3, 0)
    inputs = MemoryInputs(
        features=features,
        labels=torch.tensor([0, 0, -1, -1]),
        cameras=torch.zeros(4).long(),
        weights=torch.ones(4),
    )
    memory = MEMORIES["hybrid"](inputs, TrainConfig(memory="hybrid"))
    before = features.clone()
    memory.update(torch.tensor([0]), unit(1, 3, 1))
    assert torch.equal(features, before)
    assert len(memory.prototypes) == 3


def test_hard_pairs_do_not_go_with_it():
    with pytest.raises(ValueError, match="prototypes are means"):
        TrainConfig(memory="hybrid", use_hsd=True)


def test_knowing_the_batches_changes_nothing():
    labels = torch.tensor([0, 0, 0, 1, 1, -1, 2, 2, -1])
    batches = torch.tensor([[0, 3, 5, 0, 1, 0], [6, 7, 8, 8, 1, 4]])
    plain, told = (HybridMemory(unit(9, 5, 0), labels, 0.2) for _ in range(2))
    told.expect(batches)
    for rows in batches:
        for memory in (plain, told):
            memory.update(rows, unit(6, 5, 1))
    assert torch.equal(told.instances, plain.instances)
    assert torch.equal(told.prototypes, plain.prototypes)
