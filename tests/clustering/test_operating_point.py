"""Confident pairs and the choice of gamma, against literal loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mprd.clustering import operating_point
from mprd.clustering.operating_point import (
    GAMMAS,
    choose_gamma,
    confident_pairs,
    share_together,
)


def literal(neighbors, cameras):
    known = len({c for c in cameras.tolist() if c >= 0}) > 1
    cameras = cameras if known else np.zeros_like(cameras)

    def nearest(row, camera):
        near = [j for j in neighbors[row].tolist() if j != row and cameras[j] == camera]
        return near[0] if near else None

    found = []
    for i in range(len(cameras)):
        for j in range(i + 1, len(cameras)):
            a, b = cameras[i], cameras[j]
            if known and (a == b or a < 0 or b < 0):
                continue
            if nearest(i, b) == j and nearest(j, a) == i:
                found.append([i, j])
    return found


@given(st.integers(1, 20), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_equals_a_literal_search(count, cameras, seed):
    rng = np.random.default_rng(seed)
    camera = rng.integers(-1, cameras, count) if cameras else np.full(count, -1)
    k = int(rng.integers(1, count + 1))
    lists = [[i, *rng.permutation([j for j in range(count) if j != i])][:k] for i in range(count)]
    neighbors = np.array(lists, np.int32)
    found = confident_pairs(neighbors, camera.astype(np.int16))
    assert found.tolist() == literal(neighbors, camera)
    assert found.dtype == np.int64


def test_share_together_counts_outliers_apart():
    pairs = np.array([[0, 1], [0, 2], [2, 3]])
    assert share_together(np.array([0, 0, -1, -1]), pairs) == pytest.approx(1 / 3)
    assert np.isnan(share_together(np.array([0, 0]), pairs[:0]))


def test_the_strictest_that_costs_hardly_any_confident_pair():
    pairs = np.stack([np.arange(100), np.arange(100) + 100], axis=1)

    def clusters(kept):
        """Labels that keep a number of the pairs together, for each gamma."""
        by_gamma = dict(zip(GAMMAS, kept, strict=True))

        def cluster(gamma):
            labels = np.arange(200)
            labels[100 : 100 + by_gamma[gamma]] = np.arange(by_gamma[gamma])
            return labels

        return cluster

    assert choose_gamma(clusters([100, 99, 98, 97, 90, 80, 70]), pairs)[0] == 0.05
    assert choose_gamma(clusters([90, 95, 95, 95, 94, 80, 70]), pairs)[0] == 0.3
    assert choose_gamma(clusters([0] * 7), pairs)[0] == 0.5
    assert choose_gamma(clusters([5] * 7), pairs[:0])[0] == 0.2


def test_one_cluster_of_all_is_not_a_choice():
    pairs = np.array([[0, 1], [2, 3], [1, 2]])
    by_gamma = dict.fromkeys(GAMMAS, np.array([0, 0, 1, 1])) | {0.02: np.zeros(4, np.int64)}
    gamma, labels = choose_gamma(by_gamma.__getitem__, pairs)
    assert gamma == 0.5
    assert labels is by_gamma[0.5]


def test_blocks_of_rows_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    neighbors = np.stack([rng.permutation(40)[:12] for _ in range(40)])
    neighbors[:, 0] = np.arange(40)
    cameras = rng.integers(-1, 3, 40)
    whole = confident_pairs(neighbors, cameras)
    monkeypatch.setattr(operating_point, "_BLOCK_ROWS", 7)
    np.testing.assert_array_equal(confident_pairs(neighbors, cameras), whole)
