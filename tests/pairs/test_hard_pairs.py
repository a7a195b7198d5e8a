"""Hard pairs against the definition, image by image."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.pairs.hard_pairs import HardPairs


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


def as_lists(mask, members):
    assert not mask[:, members < 0].any()
    return [sorted(members[chosen].tolist()) for chosen in mask]


def of_batch(pairs, rows, *, padded=False):
    """The pairs of a batch that is the second of three, the first of which is wider."""
    batches = torch.stack([torch.arange(len(rows)) % len(pairs), rows, rows.flip(0)])
    return pairs.of_batch(rows, pairs.members(batches).of_step(1, padded=padded))


labelling = st.integers(1, 25).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-1, 4), min_size=n, max_size=n),
        st.none() | st.lists(st.integers(-1, 4), min_size=n, max_size=n),
    )
)


@given(labelling, st.data(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_equals_the_definition(case, order, padded):
    labels, previous = case
    pairs = HardPairs(torch.tensor(labels), None if previous is None else torch.tensor(previous))
    rows = torch.tensor(order.draw(st.lists(st.sampled_from(range(len(labels))), min_size=1)))
    found = of_batch(pairs, rows, padded=padded)
    positives = as_lists(found.positive, found.members)
    nothing = torch.zeros_like(found.positive)
    filled = as_lists(found.positives_left(nothing), found.members)
    negatives = as_lists(found.negative, found.members)
    there = found.members[found.members >= 0].tolist()
    assert len(there) == len(set(there))
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
    batch = of_batch(pairs, rows)
    draw = torch.Generator().manual_seed(seed)
    keep = torch.rand(batch.positive.shape, generator=draw) < 0.4
    kept, rejected = batch.positive & keep, batch.positive & ~keep
    found = as_lists(batch.positives_left(rejected), batch.members)
    kept, rejected = as_lists(kept, batch.members), as_lists(rejected, batch.members)
    for i in range(len(labels)):
        mates = [j for j in range(len(labels)) if j != i and relation(labels, i, j)]
        allowed = [j for j in mates if j not in rejected[i]]
        assert found[i] == (kept[i] or allowed or [i])


def test_fallbacks_by_hand():
    pairs = HardPairs(torch.tensor([0, 0, 0, 1, -1]), torch.tensor([0, 1, 1, 1, 1]))
    rows = torch.tensor([1, 3, 0])
    found = of_batch(pairs, rows)
    nothing = torch.zeros_like(found.positive)
    assert as_lists(found.positive, found.members) == [[0], [], [1, 2]]
    all_of_last = found.positive.clone()
    assert as_lists(found.positives_left(all_of_last), found.members) == [[2], [3], [0]]
    assert as_lists(found.mate, found.members) == [[0, 2], [], [1, 2]]
    assert as_lists(found.or_self(nothing), found.members) == [[1], [3], [0]]
    first = HardPairs(torch.tensor([0, 0, 0, 1, -1]), torch.tensor([0, 0, 0, 1, -1]))
    found = of_batch(first, rows)
    assert as_lists(found.positives_left(nothing), found.members) == [[0, 2], [3], [1, 2]]


def test_counts_are_those_before_the_fallback():
    pairs = HardPairs(torch.tensor([0, 0, 0, 1, -1]), torch.tensor([0, 0, 1, 1, 1]))
    positives, negatives = pairs.counts()
    assert positives.tolist() == [1, 1, 2, 0, 0]
    assert negatives.tolist() == [0, 0, 2, 2, 2]


def test_memory_stays_linear_for_one_giant_cluster():
    count = 200_000
    pairs = HardPairs(torch.zeros(count, dtype=torch.long), torch.arange(count) % 2)
    batches = torch.zeros(400, 1, dtype=torch.long)
    members = pairs.members(batches)
    assert members.rows.untyped_storage().nbytes() == 8 * count, "one list for all steps"
    found = pairs.of_batch(batches[0], members.of_step(0))
    assert int(found.positive.sum()) == count // 2
    assert bool((members.of_step(0)[found.positive[0]] % 2 == 1).all())
