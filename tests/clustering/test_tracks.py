"""Tracks hold together, by the vote of their images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.clustering.tracks import hold_tracks


@pytest.mark.parametrize(
    ("labels", "tracks", "expected"),
    [
        ([0, 0, 1, 1], [-1, -1, -1, -1], [0, 0, 1, 1]),
        ([0, 0, 1, 1], [5, 5, 5, -1], [0, 0, 0, 1]),  # two against one
        ([0, 1, 0, 1], [5, 5, -1, -1], [0, 0, 0, 1]),  # a tie: the smaller label
        ([-1, -1, 0, 0], [3, 3, -1, 3], [0, 0, 0, 0]),  # outliers follow
        ([-1, -1, 0, 0], [3, 3, -1, -1], [-1, -1, 0, 0]),  # nobody to follow
        ([0, 1, 1, 0], [2, 2, 2, 2], [0, 0, 0, 0]),
        ([0, 1, 1, 1], [-1, 4, 4, -1], [0, 1, 1, 1]),
        ([1, 0, 0], [7, 7, 7], [0, 0, 0]),  # a cluster that nobody is left in has no number
        ([], [], []),
        ([1, 0, -1], [-1, -1, -1], [1, 0, -1]),  # no tracks: as they were
    ],
)
def test_by_hand(labels, tracks, expected):
    found = hold_tracks(np.array(labels, np.int32), np.array(tracks, np.int32))
    assert found.dtype == np.int32
    assert found.tolist() == expected


def literal(labels, tracks):
    result = list(labels)
    for track in set(tracks) - {-1}:
        members = [i for i, t in enumerate(tracks) if t == track]
        votes = [labels[i] for i in members if labels[i] >= 0]
        if votes:
            winner = min(set(votes), key=lambda label: (-votes.count(label), label))
            for i in members:
                result[i] = winner
    numbers = {}
    return [-1 if one < 0 else numbers.setdefault(one, len(numbers)) for one in result]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 4)), max_size=30))
def test_equals_the_literal_vote(pairs):
    labels, tracks = [a for a, _ in pairs], [b for _, b in pairs]
    found = hold_tracks(np.array(labels, np.int32), np.array(tracks, np.int32))
    assert found.tolist() == (literal(labels, tracks) if max(tracks, default=-1) >= 0 else labels)
