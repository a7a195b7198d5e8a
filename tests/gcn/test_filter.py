"""The relation filter against a literal loop over anchors."""

import numpy as np
import pytest
import torch

from mprd.gcn.filter import RelationFilter
from mprd.gcn.judge import Judge
from mprd.gcn.node_features import RELATIONAL_FEATURES
from mprd.pairs.hard_pairs import HardPairs
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
    members = pairs.members(rows[None])
    batch = pairs.of_batch(rows, members.of_step(0))
    asked = torch.tensor([(int(rows[b]), j) for b, j in listed(batch.positive, batch)])
    middle = judge.probability(asked).median()
    with torch.no_grad():  # an untrained network says yes or no to all: move it to say both
        judge.network.classify[-1].bias[1] -= torch.logit(middle)
    relations = RelationFilter(judge, torch.tensor([[0, 1], [5, 80]]))
    relations.expect(pairs, rows.expand(2, -1), pairs.members(rows.expand(2, -1)))
    return relations, rows, batch


def listed(mask, batch):
    """The pairs (position in the batch, training row) that a mask chooses."""
    owner, column = mask.nonzero(as_tuple=True)
    return list(zip(owner.tolist(), batch.members[column].tolist(), strict=True))


@pytest.mark.parametrize("prior", [0.5, 0.3, 0.8])
def test_kept_pairs_are_those_the_network_confirms(filtered, prior):
    relations, rows, batch = filtered
    relations.prior = prior
    generator = torch.Generator().manual_seed(0)
    kept = relations(batch, generator)
    asked = batch.positive, batch.negative
    for pairs, found, wanted in zip(asked, kept, (True, False), strict=True):
        expected = []
        for owner, member in listed(pairs, batch):
            p = float(relations.judge.probability(torch.tensor([[int(rows[owner]), member]])))
            p = prior * p / (prior * p + (1 - prior) * (1 - p))
            expected.append((p >= 0.5) == wanted)
        assert found[pairs].tolist() == expected
        assert not (found & ~pairs).any()
        if prior == 0.5:
            assert 0 < sum(expected) < len(expected)


def test_the_record(filtered, epoch):
    relations, rows, batch = filtered
    generator = torch.Generator().manual_seed(0)
    kept = relations(batch, generator)
    relations(batch, generator)
    positives, negatives = listed(batch.positive, batch), listed(batch.negative, batch)
    identity = epoch.identity.copy()
    identity[:3] = -1
    arrays, summary = relations.record(identity)
    count = len(positives)
    total = 2 * (count + len(negatives))
    assert all(len(values) == total for values in arrays.values())
    assert arrays["step"].tolist() == [1] * (total // 2) + [2] * (total // 2)
    now = arrays["now"].astype(bool)
    assert now.tolist() == 2 * ([True] * count + [False] * len(negatives))
    assert (arrays["before"] == 1 - arrays["now"]).all()
    asked = [(int(rows[owner]), member) for owner, member in positives + negatives]
    assert list(zip(arrays["i"].tolist(), arrays["j"].tolist(), strict=True)) == 2 * asked
    for k in range(total):
        i, j = arrays["i"][k], arrays["j"][k]
        known = min(identity[i], identity[j]) >= 0
        assert arrays["same"][k] == (int(identity[i] == identity[j]) if known else -1)
        assert arrays["same_camera"][k] == (epoch.cameras[i] == epoch.cameras[j])
        assert arrays["kept"][k] == ((arrays["probability"][k] >= 0.5) == now[k])
    assert summary["positives"] == 2 * count
    assert summary["positives_kept"] == 2 * int(kept[0].sum())
    assert summary["negatives_kept"] == 2 * int(kept[1].sum())
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
    relations, rows, batch = filtered
    keep, keep_negative = relations(batch, torch.Generator().manual_seed(0))
    pairs, same = relations.collected()
    found = {frozenset(p): bool(s) for p, s in zip(pairs.tolist(), same.tolist(), strict=True)}
    memory = relations.judge.context.memory
    refuted = (batch.positive & ~keep) | keep_negative
    wanted = set()
    for b, row in enumerate(rows.tolist()):
        mine = batch.members[refuted[b]].tolist()
        if mine:
            wanted.add(frozenset((row, max(mine, key=lambda n: float(memory[n] @ memory[row])))))
    assert {p for p, s in found.items() if not s} == wanted
    pairs_of_confirmed = {frozenset((int(rows[o]), m)) for o, m in listed(keep, batch)}
    positive = {p for p, s in found.items() if s}
    assert positive <= pairs_of_confirmed
    anchors = {int(rows[o]) for o, _ in listed(keep, batch)}
    assert anchors <= {row for pair in positive for row in pair}
