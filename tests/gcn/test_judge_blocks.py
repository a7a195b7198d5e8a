"""Blocks of pairs: their size follows the memory of a GPU, and changes answers by rounding only."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mprd.gcn.camera_frame import sums_in_turn
from mprd.gcn.judge import Judge, block_pairs
from mprd.gcn.networks.registry import GcnShape
from mprd.gcn.quality import auc
from tests.gcn.conftest import make_epoch
from tests.gcn.test_dgcnn import judge, some_pairs

GIB = 2**30


@pytest.mark.parametrize("kind", ["relational", "raw"])
@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1500])
def test_large_blocks_give_the_same_answers(kind, count):
    epoch = make_epoch(count=300, dim=24, seed=1)
    asked = judge(epoch, kind)
    pairs = some_pairs(count, 300)
    small = asked.probability(pairs)
    large = Judge(asked.network, asked.context, asked.scaling)
    large._most = 1024
    torch.testing.assert_close(large.probability(pairs), small, atol=1e-6, rtol=0)
    assert len(small) == count


def test_distinct_rows_are_only_a_shorter_way():
    epoch = make_epoch(count=300, dim=24, seed=1)
    pairs, found = some_pairs(200, 300), []
    for distinct in (True, False):
        asked = judge(epoch, "raw")
        asked._distinct = distinct
        logits = asked.logits(pairs)
        logits.square().sum().backward()
        found.append((logits.detach(), asked.network.feature.weight.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_a_cpu_judges_256_pairs_at_once():
    assert block_pairs(torch.zeros(3, 4), 16, GcnShape("relational", 24)) == 256


@pytest.mark.parametrize(
    ("free", "expected"), [(60 * GIB, 8192), (4 * GIB, 1536), (GIB // 16, 256), (0, 256)]
)
def test_a_gpu_judges_as_many_as_its_memory_holds(free, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free - free // 4, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * GIB + free // 4)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2 * GIB)
    memory = SimpleNamespace(is_cuda=True, device="cuda:0", shape=(12_936, 1280))
    assert block_pairs(memory, 16, GcnShape("relational", 24)) == expected


@given(st.lists(st.integers(0, 4), max_size=30))
@settings(max_examples=40, deadline=None)
def test_sums_in_turn_are_those_of_the_groups(group):
    places = torch.tensor(group, dtype=torch.int64)
    values = torch.randn(len(group), 3, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(5, 3).index_add_(0, places, values)
    sizes = torch.bincount(places, minlength=5).tolist()
    torch.testing.assert_close(sums_in_turn(values, places, sizes), expected, atol=1e-5, rtol=0)


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=80, deadline=None)
def test_auc_is_that_of_sklearn(rows):
    score = torch.tensor([value / 7 for value, _ in rows])
    same = torch.tensor([truth for _, truth in rows])
    found = auc(score, same)
    if same.all() or not same.any():
        assert found != found
    else:
        assert found == pytest.approx(roc_auc_score(same.numpy(), score.numpy()), abs=1e-12)
