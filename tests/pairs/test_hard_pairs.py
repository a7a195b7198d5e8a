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
    filled = as_lists(pairs.with_mates(rows, pairs.positives(rows)), len(rows))
    negatives = as_lists(pairs.negatives(rows), len(rows))
    for b, i in enumerate(rows.tolist()):
        expected_positives, expected_filled, expected_negatives = literal(labels, previous, i)
        assert positives[b] == expected_positives
        assert filled[b] == expected_filled
        assert negatives[b] == expected_negatives


def test_an_image_whose_positives_are_all_filtered_gets_its_mates():
    pairs = HardPairs(torch.tensor([0, 0, 0, 1, -1]), torch.tensor([0, 1, 1, 1, 1]))
    rows = torch.tensor([1, 3, 0])
    nothing = PairList(rows[:0], rows[:0])
    assert as_lists(pairs.with_mates(rows, nothing), 3) == [[0, 2], [3], [1, 2]]
    some = PairList(torch.tensor([2]), torch.tensor([1]))
    assert as_lists(pairs.with_mates(rows, some), 3) == [[0, 2], [3], [1]]


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
