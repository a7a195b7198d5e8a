"""Hard pairs against the definition, image by image."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.pairs.hard_pairs import HardPairs
from mprd.pairs.pair_list import PairList


def relation(labels, i, j):
    """1 if i and j share a cluster; an outlier is a cluster of its own."""
    return i == j or (labels[i] >= 0 and labels[i] == labels[j])


def literal(labels, previous, i):
    """P_i, the same with its fallbacks, and N_i."""
    count = len(labels)
    mates = [j for j in range(count) if j != i and relation(labels, i, j)]
    if previous is None:
        return mates, mates or [i], []
    positives = [j for j in mates if not relation(previous, i, j)]
    negatives = [j for j in range(count) if not relation(labels, i, j) and relation(previous, i, j)]
    return positives, positives or mates or [i], negatives


def as_lists(pairs, batch):
    assert pairs.owner.tolist() == sorted(pairs.owner.tolist())
    found = [[] for _ in range(batch)]
    for owner, member in zip(pairs.owner.tolist(), pairs.member.tolist(), strict=True):
        found[owner].append(member)
    return [sorted(members) for members in found]


labelling = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-1, 4), min_size=n, max_size=n),
        st.none() | st.lists(st.integers(-1, 4), min_size=n, max_size=n),
    )
)


@given(labelling)
@settings(max_examples=200, deadline=None)
def test_equals_the_definition(case):
    labels, previous = case
    pairs = HardPairs(torch.tensor(labels), None if previous is None else torch.tensor(previous))
    rows = torch.tensor([*range(len(labels)), 0])
    positives = as_lists(pairs.positives(rows), len(rows))
    nothing = PairList(rows[:0], rows[:0])
    filled = as_lists(pairs.with_mates(rows, pairs.positives(rows), nothing), len(rows))
    negatives = as_lists(pairs.negatives(rows), len(rows))
    for b, i in enumerate(rows.tolist()):
        expected_positives, expected_filled, expected_negatives = literal(labels, previous, i)
        assert positives[b] == expected_positives
        assert filled[b] == expected_filled
        assert negatives[b] == expected_negatives


@given(labelling, st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_rejected_pairs_do_not_return(case, seed):
    """An image without a confirmed positive takes its mates that were not rejected, else itself."""
    labels, previous = case
    pairs = HardPairs(torch.tensor(labels), None if previous is None else torch.tensor(previous))
    rows = torch.arange(len(labels))
    positives = pairs.positives(rows)
    keep = torch.rand(len(positives.owner), generator=torch.Generator().manual_seed(seed)) < 0.4
    kept, rejected = positives.part(keep), positives.part(~keep)
    found = as_lists(pairs.with_mates(rows, kept, rejected), len(rows))
    kept, rejected = as_lists(kept, len(rows)), as_lists(rejected, len(rows))
    for i in range(len(labels)):
        mates = [j for j in range(len(labels)) if j != i and relation(labels, i, j)]
        allowed = [j for j in mates if j not in rejected[i]]
        assert found[i] == (kept[i] or allowed or [i])


def test_fallbacks_by_hand():
    pairs = HardPairs(torch.tensor([0, 0, 0, 1, -1]), torch.tensor([0, 1, 1, 1, 1]))
    rows = torch.tensor([1, 3, 0])
    nothing = PairList(rows[:0], rows[:0])
    assert as_lists(pairs.with_mates(rows, nothing, nothing), 3) == [[0, 2], [3], [1, 2]]
    all_of_last = PairList(torch.tensor([0, 2, 2]), torch.tensor([0, 1, 2]))
    assert as_lists(pairs.with_mates(rows, nothing, all_of_last), 3) == [[2], [3], [0]]
    assert as_lists(pairs.mates(rows), 3) == [[0, 2], [], [1, 2]]


def test_counts_are_those_before_the_fallback():
    pairs = HardPairs(torch.tensor([0, 0, 0, 1, -1]), torch.tensor([0, 0, 1, 1, 1]))
    positives, negatives = pairs.counts()
    assert positives.tolist() == [1, 1, 2, 0, 0]
    assert negatives.tolist() == [0, 0, 2, 2, 2]


def test_memory_stays_linear_for_one_giant_cluster():
    count = 200_000
    pairs = HardPairs(torch.zeros(count, dtype=torch.long), torch.arange(count) % 2)
    found = pairs.positives(torch.tensor([0]))
    assert len(found.member) == count // 2
    assert bool((found.member % 2 == 1).all())
