"""Evidence of time: learnt without labels, symmetric, off where times say nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.metrics import roc_auc_score

from mprd.config import TimeConfig
from mprd.evidence.fusion import corrected
from mprd.evidence.time_bins import background, pair_cells, pair_differences, time_edges
from mprd.evidence.transitions import learn_transitions


def walkers(people=120, cameras=4, seed=0, day=20_000.0):
    """People who pass all cameras; images with weak similarity. Times, cameras, who, distances."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), 2 * cameras)
    camera = np.tile(np.repeat(np.arange(cameras), 2), people)
    entry = rng.uniform(0, day, people)[who]
    times = entry + 60 * camera + rng.normal(0, 8, len(who))
    count = len(who)
    noise = np.triu(rng.uniform(0.45, 1, (count, count)), 1)
    alike = np.triu(rng.uniform(0.3, 0.9, (count, count)), 1)
    same = who[:, None] == who
    dense = np.where(same, alike + alike.T, noise + noise.T).astype(np.float32)
    near = (dense < 0.7) & ~np.eye(count, dtype=bool)
    rows, columns = np.nonzero(near)
    distance = csr_array((dense[rows, columns], (rows, columns)), shape=near.shape)
    return times, camera, who, distance


def entries(distance):
    rows = np.repeat(np.arange(distance.shape[0]), np.diff(distance.indptr))
    return rows, distance.indices


def test_evidence_tells_pairs_apart_that_similarity_does_not():
    times, camera, who, distance = walkers()
    found = learn_transitions(times, camera, distance)
    rows, columns = entries(distance)
    cross = camera[rows] != camera[columns]
    same = who[rows] == who[columns]
    assert found.informative
    by_time = roc_auc_score(same[cross], found.evidence[cross])
    by_distance = roc_auc_score(same[cross], -distance.data[cross])
    assert by_time > 0.9 > by_distance
    fused = corrected(distance, found.evidence, TimeConfig())
    assert roc_auc_score(same[cross], -fused.data[cross]) > by_distance + 0.1


def test_evidence_is_symmetric():
    times, camera, _, distance = walkers(seed=3)
    times[::7] = np.nan
    found = learn_transitions(times, camera, distance)
    evidence = csr_array((found.evidence, distance.indices, distance.indptr), distance.shape)
    assert abs(evidence - evidence.T).max() == 0


def test_an_unknown_time_says_nothing():
    times, camera, _, distance = walkers(seed=4)
    unknown = np.arange(len(times)) % 5 == 0
    times[unknown] = np.nan
    found = learn_transitions(times, camera, distance)
    rows, columns = entries(distance)
    silent = unknown[rows] | unknown[columns]
    assert (found.evidence[silent] == 0).all()
    assert (found.evidence[~silent] != 0).mean() > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_times_are_not_used(seed):
    times, camera, _, distance = walkers(seed=seed)
    shuffled = np.random.default_rng(seed).permutation(times)
    found = learn_transitions(shuffled, camera, distance)
    assert not found.informative
    assert (found.evidence == 0).all()


def test_one_camera_with_a_wrong_clock_is_survived():
    """Its offset is learnt: what is constant between two cameras is a way like any other."""
    times, camera, who, distance = walkers(seed=5)
    wrong = np.where(camera == 2, times + 3600, times)
    rows, columns = entries(distance)
    cross = camera[rows] != camera[columns]
    same = who[rows] == who[columns]
    right, off = (learn_transitions(t, camera, distance).evidence for t in (times, wrong))
    assert roc_auc_score(same[cross], off[cross]) > roc_auc_score(same[cross], right[cross]) - 0.05


def test_two_tracks_that_look_alike_do_not_vouch_for_themselves():
    """Fifteen images each, the most similar pairs of all, at an odd time difference."""
    times, camera, who, distance = walkers(people=60, seed=6)
    count, more = len(times), 15
    extra_times = np.concatenate([9_000 + np.arange(more), 13_000 + np.arange(more)])
    extra_cameras = np.repeat([0, 3], more)
    block = csr_array(np.full((more, more), 0.01, np.float32))
    rows, columns = block.nonzero()
    before = distance.tocoo()
    edges = np.concatenate([before.coords[0], count + rows, count + more + columns])
    others = np.concatenate([before.coords[1], count + more + columns, count + rows])
    values = np.concatenate([before.data, np.full(2 * len(rows), 0.01, np.float32)])
    size = count + 2 * more
    joined = csr_array((values, (edges, others)), shape=(size, size))
    found = learn_transitions(
        np.concatenate([times, extra_times]), np.concatenate([camera, extra_cameras]), joined
    )
    rows, columns = entries(joined)
    theirs = found.evidence[(rows >= count) & (columns >= count)]
    right = who[np.minimum(rows, count - 1)] == who[np.minimum(columns, count - 1)]
    right &= (rows < count) & (columns < count) & (rows != columns)
    assert found.informative
    assert theirs.max() < 0.5 * found.evidence[right].mean()


def test_the_unit_of_time_does_not_matter():
    times, camera, _, distance = walkers(seed=7)
    seconds, frames = (learn_transitions(times * f, camera, distance) for f in (1, 25))
    np.testing.assert_allclose(frames.edges, 25 * seconds.edges, rtol=1e-9)
    np.testing.assert_array_equal(frames.evidence, seconds.evidence)


@pytest.mark.parametrize("times", [[], [5.0], [5.0, 5.0, 5.0], [np.nan] * 3, [0.0, 1.0, np.nan]])
def test_too_little_to_learn_from(times):
    times = np.array(times)
    count = len(times)
    distance = csr_array(np.where(np.eye(count), 0, 0.5).astype(np.float32))
    found = learn_transitions(times, np.zeros(count, np.int64), distance)
    assert not found.informative
    assert np.isfinite(found.log_ratio).all()
    assert (found.evidence == 0).all()


def test_cameras_that_are_unknown_are_one_more():
    times, camera, _, distance = walkers(seed=8)
    camera[camera == 3] = -1
    renamed = np.where(camera < 0, 3, camera)
    a, b = (learn_transitions(times, c, distance) for c in (camera, renamed))
    np.testing.assert_array_equal(a.evidence, b.evidence)


@pytest.mark.parametrize(
    ("times", "cameras", "message"),
    [(np.zeros(2), np.zeros(3), "times must be"), (np.zeros(3), np.zeros(2), "cameras must be")],
)
def test_bad_input(times, cameras, message):
    with pytest.raises(ValueError, match=message):
        learn_transitions(times, cameras, csr_array((3, 3), dtype=np.float32))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 30), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_the_background_counts_all_pairs(count, cameras, seed):
    rng = np.random.default_rng(seed)
    # Whole and half numbers: no difference lies on an edge but 0.
    times, camera = rng.permutation(count) + 0.0, rng.integers(0, cameras, count)
    times[rng.random(count) < 0.2] = np.nan
    edges = np.array([-7.5, -2.5, 0.0, 2.5, 7.5])
    found = background(times, camera, edges)
    span = int(camera.max(initial=0)) + 1
    expected = np.zeros((span, span, len(edges) + 1))
    for i in range(count):
        for j in range(i + 1, count):
            if np.isfinite(times[i] + times[j]):
                cell = pair_cells(times, camera, np.array([i]), np.array([j]), edges)
                expected.ravel()[cell] += 1
    expected /= np.maximum(expected.sum(axis=2, keepdims=True), 1)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_differences_by_hand():
    times, camera = np.array([10.0, 25.0, 40.0]), np.array([1, 0, 1])
    rows, columns = np.array([0, 1, 0]), np.array([1, 0, 2])
    # Camera 1 less camera 0, whichever comes first; within camera 1 absolute.
    assert pair_differences(times, camera, rows, columns).tolist() == [-15, -15, 30]


def test_edges_by_hand():
    edges = time_edges(np.array([0.0, 1000.0]), np.array([10.0, -10.0, 500.0]))
    assert edges[len(edges) // 2] == 0
    np.testing.assert_allclose(edges, -edges[::-1])
    assert edges[edges > 0][0] == 10
    assert edges.max() < 1000
    assert len(edges) % 2 == 1
    assert time_edges(np.array([3.0]), np.array([])).tolist() == [0]


def test_correction_by_hand():
    dense = np.array([[0, 0.5, 0.9], [0.5, 0, 0.1], [0.9, 0.1, 0]], np.float32)
    rows, columns = np.nonzero(dense + np.eye(3))
    distance = csr_array((dense[rows, columns], (rows, columns)), shape=(3, 3))
    evidence = np.array([9, 2, -9, 2, 9, 9, -9, 9, 9], np.float32)
    found = corrected(distance, evidence, TimeConfig(weight=0.1, most=4)).toarray()
    np.testing.assert_allclose(found, [[0, 0.3, 1], [0.3, 0, 0], [1, 0, 0]], atol=1e-6)
