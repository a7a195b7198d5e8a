"""Numbers of clusters against loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mprd.clustering.numbering import (
    keep_numbers,
    number_clusters,
    numbers_of,
    with_single_clusters,
)


@given(st.lists(st.integers(-1, 4), max_size=12))
def test_outliers_stand_alone_behind_the_clusters(labels):
    found = with_single_clusters(np.array(labels, np.int32)).tolist()
    following = max(labels, default=-1) + 1
    for before, after in zip(labels, found, strict=True):
        assert after == (before if before >= 0 else following)
        following += before < 0


@given(st.lists(st.integers(-3, 4), max_size=12), st.integers(1, 4))
def test_groups_are_numbered_by_their_first_member(group, least):
    seen: dict[int, int] = {}
    expected = []
    for value in group:
        if group.count(value) >= least:
            seen.setdefault(value, len(seen))
        expected.append(seen.get(value, -1))
    assert number_clusters(np.array(group, np.int64), least).tolist() == expected


@given(
    st.lists(st.tuples(st.integers(-1, 4), st.sampled_from([-1, 0, 3, 4, 9])), max_size=14),
    st.integers(0, 3),
)
def test_numbers_go_on_where_most_images_are_shared(pairs, gone):
    labels = number_clusters(np.array([new for new, _ in pairs if new >= 0], np.int64), 1)
    labels = np.concatenate([labels, np.full(len(pairs) - len(labels), -1, np.int32)])
    before = np.array([old for _, old in pairs], np.int64)
    above = int(before.max(initial=-1)) + 1 + gone  # the clusters of images that are gone
    found = keep_numbers(labels, before, above).tolist()
    count = int(labels.max(initial=-1)) + 1
    shared = {
        (old, new): sum((labels == new) & (before == old))
        for old in {*before.tolist()} - {-1}
        for new in range(count)
    }
    expected: dict[int, int] = {}
    while shared and max(shared.values()) > 0:
        old, new = min(shared, key=lambda pair: (-shared[pair], pair))
        expected[new] = old
        shared = {pair: n for pair, n in shared.items() if pair[0] != old and pair[1] != new}
    following = above
    for new in range(count):
        if new not in expected:
            expected[new] = following
            following += 1
    assert found == [expected[new] for new in range(count)]
    numbers = numbers_of(labels, np.array(found, np.int32)).tolist()
    assert numbers == [expected[new] if new >= 0 else -1 for new in labels.tolist()]
