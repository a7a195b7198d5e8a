"""Typical times between cameras, from histograms made by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mprd.evidence.time_bins import background, pair_cells, time_edges
from mprd.evidence.transitions import Transitions
from mprd.evidence.travel import (
    Way,
    bin_middles,
    camera_labels,
    stored_transitions,
    time_length,
    typical_ways,
)

EDGES = np.array([-40.0, -20.0, -10.0, 0.0, 10.0, 20.0, 40.0])
FLAT = np.full(8, 1 / 8)


def transitions(histograms, cameras=2, edges=EDGES, spread=FLAT):
    """Transitions with the seeds of each pair of cameras, all pairs evenly spread."""
    bins = len(edges) + 1
    seeds = np.zeros((cameras, cameras, bins), np.int64)
    share = np.zeros((cameras, cameras, bins))
    for (a, b), counts in histograms.items():
        seeds[a, b], share[a, b] = counts, spread
    empty = np.zeros(0, np.float32)
    return Transitions(edges, np.zeros(seeds.shape, np.float32), seeds, share, empty, 1.0, 0.1)


def test_one_way():
    """80 pairs, 10 a bin by chance: 15 + 25 beyond it in two bins, the median in the second."""
    found = transitions({(0, 1): [5, 5, 5, 5, 5, 25, 25, 5]})
    assert typical_ways(found) == [Way(0, 1, 30.0, 15.0)]


def test_both_ways():
    found = transitions({(0, 1): [0, 60, 0, 0, 0, 0, 100, 0]})
    # 20 a bin by chance: 40 back, 80 there.
    assert typical_ways(found) == [Way(0, 1, 80.0, 30.0), Way(1, 0, 40.0, 30.0)]


def test_the_median_is_that_of_the_pairs_beyond_chance():
    spread = np.array([0, 0, 0, 0, 0.1, 0.1, 0.1, 0.7])
    found = transitions({(0, 1): [0, 0, 0, 0, 120, 160, 80, 440]}, spread=spread)
    # By chance 80, 80, 80, 560 of 800: beyond it 40, 80, 0, 0.
    assert typical_ways(found) == [Way(0, 1, 120.0, 15.0)]


def test_within_a_camera():
    found = transitions({(0, 0): [0, 0, 0, 0, 70, 10, 0, 0]}, cameras=1)
    assert typical_ways(found) == [Way(0, 0, 60.0, 5.0)]


@pytest.mark.parametrize(
    "counts",
    [
        [0] * 8,
        [0, 0, 0, 0, 0, 9, 0, 0],  # 7.9 beyond chance
        [100] * 8,
        [1000, 1030, 970, 1000, 1020, 980, 1000, 1000],  # 50 beyond chance: as it goes
    ],
)
def test_too_few_pairs(counts):
    assert typical_ways(transitions({(0, 1): counts})) == []


def test_no_pairs_and_no_times():
    assert typical_ways(transitions({})) == []
    edges = time_edges(np.full(3, np.nan), np.zeros(0))
    assert edges.tolist() == [0]
    spread = np.array([0.5, 0.5])
    assert typical_ways(transitions({(0, 1): [40, 0]}, edges=edges, spread=spread)) == []


def test_images_of_unknown_cameras_are_those_of_one_more():
    names = ["gate", "lot", "roof"]
    assert camera_labels(names, np.array([0, 1, 1])) == ["gate", "lot"]
    assert camera_labels(names, np.array([0, -1, 1])) == ["gate", "lot", "unknown"]
    assert camera_labels(names, np.array([-1, -1])) == ["unknown"]


def test_the_busiest_come_first():
    busy, quiet = [0, 0, 0, 0, 0, 80, 0, 0], [0, 0, 40, 0, 0, 0, 0, 0]
    found = transitions({(0, 1): quiet, (0, 2): busy, (1, 2): quiet}, cameras=3)
    assert [(w.first, w.then) for w in typical_ways(found)] == [(0, 2), (1, 0), (2, 1)]


def test_walkers_are_found():
    """People who take 60 s from camera 0 to 1; what comes out is the bin that holds 60 s."""
    rng = np.random.default_rng(0)
    entry = rng.uniform(0, 50_000, 300)
    times = np.concatenate([entry, entry + 60 + rng.normal(0, 3, 300)])
    camera = np.repeat([0, 1], 300)
    rows, columns = np.arange(300), 300 + np.arange(300)
    edges = time_edges(times, times[columns] - times[rows])
    cells = pair_cells(times, camera, rows, columns, edges)
    spread = background(times, camera, edges)
    seeds = np.bincount(cells, minlength=spread.size).reshape(spread.shape)
    found = transitions({}, edges=edges)
    found = stored_transitions(
        {"edges": edges, "log_ratio": found.log_ratio, "seeds": seeds, "background": spread},
        {"gain": 1.0, "error": 0.6},
    )
    assert not found.informative
    (way,) = typical_ways(found)
    assert (way.first, way.then) == (0, 1)
    assert way.time == pytest.approx(60, rel=0.25)
    assert way.pairs == pytest.approx(300, rel=0.02)


@given(st.floats(1e-3, 1e6), st.integers(1, 31))
def test_middles_lie_in_their_bins(smallest, steps):
    above = smallest * 1.4 ** np.arange(steps)
    edges = np.concatenate([-above[::-1], [0], above])
    middles = bin_middles(edges)
    assert (np.searchsorted(edges, middles) == np.arange(len(edges) + 1)).all()
    np.testing.assert_allclose(middles, -middles[::-1])


@pytest.mark.parametrize(
    ("length", "unit", "words"),
    [
        (0, "seconds", "0 s"),
        (0.42, "seconds", "0.42 s"),
        (35.2, "seconds", "35 s"),
        (59.9, "seconds", "1 min"),
        (240, "seconds", "4 min"),
        (7_560, "seconds", "2.1 h"),
        (302_400, "seconds", "3.5 days"),
        (9.97, "seconds", "10 s"),
        (1250.4, "frames", "1,250 frames"),
        (1.0, "frames", "1 frame"),
        (86_300, "seconds", "1 day"),
    ],
)
def test_lengths_of_time_in_words(length, unit, words):
    assert time_length(length, unit) == words
