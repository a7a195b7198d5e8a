"""Numbers of clusters against loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mprd.clustering.numbering import number_clusters, with_single_clusters


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
