"""The memories against one-by-one updates."""

import pytest
import torch
import torch.nn.functional as F

from mprd.losses.memories.cluster import ClusterMemory, most_equal
from mprd.losses.memories.sums import _by_rows, _by_segments, centroids


def unit(n, d, seed):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def literal_update(C, labels, rows, x, m, update, weights):
    C = C.clone()
    for c in sorted({int(labels[r]) for r in rows}):
        members = [(x[b], weights[r]) for b, r in enumerate(rows) if int(labels[r]) == c]
        trusted = [v for v, w in members if w >= 0.5]
        if update == "hard":
            among = trusted or [v for v, _ in members]
            members = [min(among, key=lambda v, c=c: float(v @ C[c]))]
        elif update == "mean":
            members = [sum(w * v for v, w in members) / sum(w for _, w in members)]
        else:
            members = trusted
        for target in members:
            C[c] = F.normalize(m * C[c] + (1 - m) * target, dim=0)
    return C


@pytest.mark.parametrize("weights", [None, [1.5, 0.4, 0.6, 0.1, 0.2, 1, 1, 1]])
@pytest.mark.parametrize("update", ["hard", "mean", "all"])
def test_prototypes_follow_the_formula(update, weights):
    labels = torch.tensor([0, 0, 0, 1, 1, -1, 2, 2])
    start, given = unit(8, 5, 0), None if weights is None else torch.tensor(weights)
    memory = ClusterMemory(start, labels, 0.1, update, given)
    weights = [1.0] * 8 if weights is None else weights
    for c in range(3):
        total = sum(weights[i] * start[i] for i in range(8) if labels[i] == c)
        assert torch.allclose(memory.prototypes[c], F.normalize(total, dim=0))
    rows = torch.tensor([0, 3, 2, 4, 1, 3])
    x = unit(6, 5, 1)
    expected = literal_update(memory.prototypes, labels, rows, x, 0.1, update, weights)
    memory.update(rows, x)
    assert torch.allclose(memory.prototypes, expected, atol=1e-6)
    assert torch.allclose(memory.prototypes.norm(dim=1), torch.ones(3))


def test_instances_take_the_last_of_repeated_rows_and_leave_the_rest():
    start = unit(4, 3, 2)
    memory = ClusterMemory(start, torch.tensor([0, 0, 1, 1]), 0.1, "hard")
    x = unit(3, 3, 3)
    memory.update(torch.tensor([1, 3, 1]), x)
    assert torch.equal(memory.instances[1], x[2])
    assert torch.equal(memory.instances[3], x[1])
    assert torch.equal(memory.instances[[0, 2]], start[[0, 2]])


def test_memory_does_not_share_the_features_it_starts_from():
    start = unit(4, 3, 4)
    copy = start.clone()
    ClusterMemory(start, torch.tensor([0, 0, 1, 1]), 0.1, "mean").update(
        torch.tensor([0, 2]), unit(2, 3, 5)
    )
    assert torch.equal(start, copy)


def test_centroids_leave_outliers_out():
    features = unit(5, 4, 6)
    found = centroids(features, torch.tensor([1, -1, 0, 1, -1]))
    assert torch.allclose(found[0], features[2])
    assert torch.allclose(found[1], F.normalize(features[0] + features[3], dim=0))


def test_sums_are_the_same_to_the_bit_for_a_gpu_and_a_cpu():
    group = torch.tensor([-1, -1, 0, 0, 0, 2, 3, 3, 4, 4])
    values = unit(len(group), 33, 8)
    found = _by_segments(values, group, 4)
    assert torch.equal(found, _by_rows(values, group, 4))
    assert torch.allclose(found[3], values[6:8].sum(dim=0))
    assert not found[1].any(), "a group without values"


def test_most_equal_is_the_largest_count():
    rows = torch.tensor([[3, 1, 3, 3, 1], [0, 1, 2, 3, 4]])
    assert most_equal(rows) == 3
    assert most_equal(rows[1:]) == 1


@pytest.mark.parametrize("update", ["hard", "mean", "all"])
def test_knowing_the_batches_changes_nothing(update):
    labels = torch.tensor([0, 0, 0, 1, 1, -1, 2, 2])
    batches = torch.tensor([[0, 3, 2, 4, 1, 3], [6, 7, 6, 0, 1, 4]])
    plain, told = (ClusterMemory(unit(8, 5, 0), labels, 0.1, update) for _ in range(2))
    told.expect(batches)
    for rows in batches:
        for memory in (plain, told):
            memory.update(rows, unit(6, 5, 1))
    assert torch.equal(told.prototypes, plain.prototypes)
