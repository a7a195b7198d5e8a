"""The relation filter against a literal loop over anchors."""

import numpy as np
import pytest
import torch

from mprd.gcn.filter import RelationFilter
from mprd.gcn.judge import Judge
from mprd.gcn.node_features import RELATIONAL_FEATURES
from mprd.pairs.hard_pairs import HardPairs
from mprd.pairs.pair_list import PairList
from tests.gcn.test_dgcnn import network


@pytest.fixture
def filtered(epoch):
    """A filter, a batch with a repeated row, and its hard pairs."""
    rng = np.random.default_rng(2)
    labels = torch.from_numpy(epoch.identity // 2).long()
    before = torch.from_numpy(rng.integers(0, 6, len(labels)))
    context = epoch.context()
    scaling = context.scaling(torch.tensor([[0, 1], [5, 80], [7, 3], [11, 50]]))
    judge = Judge(network(RELATIONAL_FEATURES, "relational", seed=4), context, scaling)
    rows = torch.tensor([0, 1, 12, 14, 0, 60, 61, 85])
    pairs = HardPairs(labels, before)
    positives, negatives = pairs.positives(rows), pairs.negatives(rows)
    middle = judge.probability(torch.stack([rows[positives.owner], positives.member], 1)).median()
    with torch.no_grad():  # an untrained network says yes or no to all: move it to say both
        judge.network.classify[-1].bias[1] -= torch.logit(middle)
    return RelationFilter(judge, torch.tensor([[0, 1], [5, 80]])), rows, positives, negatives


@pytest.mark.parametrize("prior", [0.5, 0.3, 0.8])
def test_kept_pairs_are_those_the_network_confirms(filtered, prior):
    relations, rows, positives, negatives = filtered
    relations.prior = prior
    generator = torch.Generator().manual_seed(0)
    kept = relations(rows, positives, negatives, generator)
    for pairs, found, wanted in zip((positives, negatives), kept, (True, False), strict=True):
        expected = []
        for owner, member in zip(pairs.owner.tolist(), pairs.member.tolist(), strict=True):
            p = float(relations.judge.probability(torch.tensor([[int(rows[owner]), member]])))
            p = prior * p / (prior * p + (1 - prior) * (1 - p))
            expected.append((p >= 0.5) == wanted)
        assert found.tolist() == expected
        if prior == 0.5:
            assert 0 < sum(expected) < len(expected)


def test_the_record(filtered, epoch):
    relations, rows, positives, negatives = filtered
    generator = torch.Generator().manual_seed(0)
    kept = relations(rows, positives, negatives, generator)
    relations(rows, positives, PairList(rows[:0], rows[:0]), generator)
    identity = epoch.identity.copy()
    identity[:3] = -1
    arrays, summary = relations.record(identity)
    count = len(positives.owner)
    total = 2 * count + len(negatives.owner)
    assert all(len(values) == total for values in arrays.values())
    assert arrays["step"].tolist() == [1] * (total - count) + [2] * count
    now = arrays["now"].astype(bool)
    assert now.tolist() == [True] * count + [False] * len(negatives.owner) + [True] * count
    assert (arrays["before"] == 1 - arrays["now"]).all()
    assert arrays["i"][:count].tolist() == rows[positives.owner].tolist()
    assert arrays["j"][:count].tolist() == positives.member.tolist()
    for k in range(total):
        i, j = arrays["i"][k], arrays["j"][k]
        known = min(identity[i], identity[j]) >= 0
        assert arrays["same"][k] == (int(identity[i] == identity[j]) if known else -1)
        assert arrays["same_camera"][k] == (epoch.cameras[i] == epoch.cameras[j])
        assert arrays["kept"][k] == ((arrays["probability"][k] >= 0.5) == now[k])
    assert summary["positives"] == 2 * count
    assert summary["positives_kept"] == 2 * int(kept[0].sum())
    assert summary["negatives_kept"] == int(kept[1].sum())
    chosen = now & (arrays["same"] >= 0)
    assert summary["positive_precision"] == pytest.approx(arrays["same"][chosen].mean())
    chosen = ~now & (arrays["same"] >= 0) & (arrays["kept"] == 1)
    assert summary["negative_precision_kept"] == pytest.approx(1 - arrays["same"][chosen].mean())


def test_nothing_judged_is_a_record_too(filtered, epoch):
    arrays, summary = filtered[0].record(epoch.identity)
    assert all(len(values) == 0 for values in arrays.values())
    assert summary["positives"] == 0
    assert np.isnan(summary["positive_precision"])


def test_one_pair_of_each_answer_is_collected_per_anchor(filtered):
    """Both from pairs that share a cluster, or did: no negative is told by being elsewhere."""
    relations, rows, positives, negatives = filtered
    keep, keep_negative = relations(rows, positives, negatives, torch.Generator().manual_seed(0))
    pairs, same = relations.collected()
    found = {frozenset(p): bool(s) for p, s in zip(pairs.tolist(), same.tolist(), strict=True)}
    memory = relations.judge.context.memory
    confirmed, refuted = positives.part(keep), positives.part(~keep)
    apart = negatives.part(keep_negative)
    wanted = set()
    for b, row in enumerate(rows.tolist()):
        mine = [
            member for part in (refuted, apart) for member in part.member[part.owner == b].tolist()
        ]
        if mine:
            wanted.add(frozenset((row, max(mine, key=lambda n: float(memory[n] @ memory[row])))))
    assert {p for p, s in found.items() if not s} == wanted
    pairs_of_confirmed = {
        frozenset((int(rows[o]), m))
        for o, m in zip(confirmed.owner.tolist(), confirmed.member.tolist(), strict=True)
    }
    positive = {p for p, s in found.items() if s}
    assert positive <= pairs_of_confirmed
    anchors = {int(rows[o]) for o in confirmed.owner.tolist()}
    assert anchors <= {row for pair in positive for row in pair}
