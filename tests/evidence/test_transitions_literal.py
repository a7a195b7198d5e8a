"""Transitions, computed pair by pair with plain Python, constants included."""

import math
from statistics import fmean, stdev

import numpy as np
import pytest
from scipy.sparse import csr_array

from mprd.evidence.time_bins import time_edges
from mprd.evidence.transitions import learn_transitions
from mprd.evidence.travel import bin_middles, outer_edges, stored_transitions


def problem(people=40, seed=0):
    """Images of people who pass three cameras, some without time or camera."""
    rng = np.random.default_rng(seed)
    who, camera = np.repeat(np.arange(people), 6), np.tile(np.repeat(np.arange(3), 2), people)
    times = rng.uniform(0, 9000, people)[who] + 60 * camera + rng.normal(0, 8, len(who))
    times[::17], camera = np.nan, np.where(rng.random(len(who)) < 0.05, -1, camera)
    values = np.triu(np.where(who[:, None] == who, 0.3, 0.5) + 0.5 * rng.random((len(who),) * 2), 1)
    near = (values > 0) & (values < 0.7)
    dense = np.where(near, values, 0) + np.where(near, values, 0).T
    return times, camera, csr_array(dense.astype(np.float32))


def literal_edges(times, apart):
    known, apart = [t for t in times if t == t], sorted(abs(d) for d in apart if d)
    span = max(known) - min(known)
    place = 0.1 * (len(apart) - 1)
    low, share = int(place), place - int(place)
    smallest = min(apart[low] + share * (apart[low + 1] - apart[low]), span)
    steps = min(max(math.ceil(math.log(span / smallest) / math.log(1.5)), 1), 31)
    above = [smallest * (span / smallest) ** (n / steps) for n in range(steps)]
    return [-edge for edge in reversed(above)] + [0.0] + above


def literal(times, cameras, distance):
    count, unknown = len(times), max(cameras) + 1
    cameras = [unknown if c < 0 else int(c) for c in cameras]
    span = max(cameras) + 1
    known = [i for i in range(count) if times[i] == times[i]]

    def apart(i, j):
        if cameras[i] == cameras[j]:
            return abs(times[i] - times[j])
        i, j = (i, j) if cameras[i] < cameras[j] else (j, i)
        return times[j] - times[i]

    stored = distance.toarray()
    pairs = [(stored[i, j], i, j) for i in known for j in known if i < j and stored[i, j] > 0]
    seeds = []
    for same in (False, True):
        kind = sorted(p for p in pairs if (cameras[p[1]] == cameras[p[2]]) == same)
        limit = kind[min(2 * len(known), len(kind)) - 1][0]
        seeds += [(i, j) for value, i, j in kind if value <= limit]
    edges = literal_edges(times, [apart(i, j) for i, j in seeds])
    bins = len(edges) + 1

    def cell(i, j):
        place = sum(edge <= apart(i, j) for edge in edges)
        return min(cameras[i], cameras[j]), max(cameras[i], cameras[j]), place

    expected = np.zeros((span, span, bins))
    for i in known:
        for j in known:
            if i < j:
                expected[cell(i, j)] += 1
    expected /= np.maximum(expected.sum(axis=2, keepdims=True), 1)
    order = sorted(range(count), key=lambda i: (times[i] != times[i], times[i]))
    fold = {image: place * 30 // count % 10 for place, image in enumerate(order)}

    def fold_of(i, j):
        return fold[min((i, j), key=lambda k: (times[k], k))]

    def smooth(values):
        last = len(values) - 1
        return np.array(
            [
                values[max(n - 1, 0)] / 4 + values[n] / 2 + values[min(n + 1, last)] / 4
                for n in range(len(values))
            ]
        )

    def log_ratio(without):
        found = np.zeros((span, span, bins))
        for i, j in seeds:
            if fold_of(i, j) != without:
                found[cell(i, j)] += 1
        smoothed = {(a, b): smooth(found[a, b]) for a in range(span) for b in range(span)}
        chance = {key: smooth(expected[key]) * value.sum() for key, value in smoothed.items()}
        result = np.zeros((span, span, bins))
        for across in (False, True):
            keys = [key for key in smoothed if (key[0] != key[1]) == across]
            both = sum(smoothed[key] for key in keys), sum(chance[key] for key in keys)
            if across:
                both = both[0] + both[0][::-1], both[1] + both[1][::-1]
            common = (both[0] + 5) / (both[1] + 5)
            for key in keys:
                if chance[key].sum() > 0:
                    ratio = (smoothed[key] + 10) / (chance[key] + 10 / common)
                    result[key] = np.log(np.maximum(ratio, 0.001))
        return result

    held_out = [log_ratio(without) for without in range(10)]
    said = {}
    for i, j in seeds:
        said.setdefault(fold_of(i, j), []).append(held_out[fold_of(i, j)][cell(i, j)])
    means = [fmean(values) for values in said.values()]
    gain = fmean(value for values in said.values() for value in values)
    evidence = np.zeros(stored.shape)
    for i in known:
        for j in known:
            if i != j:
                evidence[i, j] = held_out[fold_of(i, j)][cell(i, j)]
    rows, columns = distance.nonzero()
    error = stdev(means) / math.sqrt(len(means))
    return edges, expected, log_ratio(None), evidence[rows, columns], gain, error


@pytest.mark.parametrize("seed", [0, 1])
def test_learnt_as_by_hand(seed):
    times, camera, distance = problem(seed=seed)
    found = learn_transitions(times, camera, distance)
    edges, expected, log_ratio, evidence, gain, error = literal(times, camera, distance)
    np.testing.assert_allclose(found.edges, edges, rtol=1e-9)
    np.testing.assert_allclose(found.background, expected, atol=1e-12)
    np.testing.assert_allclose(found.log_ratio, log_ratio, atol=1e-5)
    assert found.gain == pytest.approx(gain)
    assert found.error == pytest.approx(error)
    assert found.informative
    assert gain > 0
    np.testing.assert_allclose(found.evidence, evidence, atol=1e-5)


@pytest.mark.parametrize(("smallest", "steps"), [(1e-9, 31), (999.0, 1), (1000 / 1.5**3.5, 4)])
def test_the_number_of_bins_is_bounded(smallest, steps):
    edges = time_edges(np.array([0.0, 1000.0]), np.full(3, smallest))
    assert len(edges) == 2 * steps + 1


def test_what_is_stored_has_no_evidence_of_pairs():
    arrays = dict.fromkeys(("edges", "log_ratio", "seeds", "background"), np.zeros(3))
    found = stored_transitions(arrays, {"gain": 1, "error": 0.5})
    assert len(found.evidence) == 0
    assert not found.informative
    assert stored_transitions(arrays, {"gain": 1.01, "error": 0.5}).informative


def test_where_the_outer_bins_end():
    assert all(map(math.isnan, outer_edges(np.zeros(1))))
    assert all(map(math.isnan, outer_edges(np.array([-1.0, 1.0]))))
    assert outer_edges(np.array([-4.0, 0.0, 4.0])) == (-6.0, 6.0)
    assert outer_edges(np.array([-8.0, -4.0, 0.0, 4.0, 8.0])) == (-16.0, 16.0)
    np.testing.assert_allclose(bin_middles(np.array([-4.0, 0.0, 4.0])), [-5, -2, 2, 5])
