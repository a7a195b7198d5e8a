"""The memories against one-by-one updates."""

import pytest
import torch
import torch.nn.functional as F

from mprd.losses.memory_bank import ClusterMemory, centroids


def unit(n, d, seed):
    return F.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)), dim=1)


def literal_update(C, labels, rows, x, m, update):
    C = C.clone()
    for c in sorted({int(labels[r]) for r in rows}):
        members = [x[b] for b, r in enumerate(rows) if int(labels[r]) == c]
        if update == "hard":
            members = [min(members, key=lambda v, c=c: float(v @ C[c]))]
        elif update == "mean":
            members = [torch.stack(members).mean(dim=0)]
        for target in members:
            C[c] = F.normalize(m * C[c] + (1 - m) * target, dim=0)
    return C


@pytest.mark.parametrize("update", ["hard", "mean", "all"])
def test_prototypes_follow_the_formula(update):
    labels = torch.tensor([0, 0, 0, 1, 1, -1, 2, 2])
    memory = ClusterMemory(unit(8, 5, 0), labels, 0.1, update)
    rows = torch.tensor([0, 3, 2, 4, 1, 3])
    x = unit(6, 5, 1)
    expected = literal_update(memory.prototypes, labels, rows, x, 0.1, update)
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
