"""Times of the synthetic set: right as walks, and informative but not decisive."""

import re
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mprd.config import SyntheticConfig
from mprd.data.synthetic import dataset, walks
from mprd.data.synthetic.dataset import list_shots

NAME = re.compile(r"\w+/(\d{4})_c(\d+)s1_(\d{6})_(\d{2})\.jpg")
SECOND = walks.FRAMES_PER_SECOND

counts_by_camera = st.dictionaries(st.integers(0, 5), st.integers(1, 6), min_size=1)
seeds = st.integers(0, 2**32 - 1)


def parts(path: str) -> tuple[int, ...]:
    match = NAME.fullmatch(path)
    assert match, path
    return tuple(map(int, match.groups()))


def one_walk(seed: int, counts: dict[int, int], rush: int = 0) -> list[tuple[int, int]]:
    """Draw one walk; its (frame, camera) in order of time."""
    ways = walks.draw_ways(np.random.default_rng(seed), 6)
    frames = walks.draw_walks(np.random.default_rng(seed), ways, counts, (rush,))
    return sorted((frame, camera) for camera, found in frames.items() for frame in found)


@given(seeds, counts_by_camera, st.sampled_from([(0,), (2,), (0, 1), (1, 2), (0, 2)]))
def test_each_camera_has_its_images_in_ascending_frames_of_the_day(seed, counts, rushes):
    ways = walks.draw_ways(np.random.default_rng(seed), 6)
    frames = walks.draw_walks(np.random.default_rng(seed), ways, counts, rushes)
    assert {camera: len(found) for camera, found in frames.items()} == counts
    for found in frames.values():
        assert all(np.diff(found) > 0)
    everything = [frame for found in frames.values() for frame in found]
    assert len(set(everything)) == len(everything)
    assert min(everything) >= 0
    assert max(everything) < walks.DAY <= 1_000_000
    again = walks.draw_walks(np.random.default_rng(seed), ways, counts, rushes)
    assert again == frames


@given(seeds, counts_by_camera)
def test_a_walk_visits_each_camera_once_and_shows_it_some_seconds_apart(seed, counts):
    walk = one_walk(seed, counts)
    cameras = [camera for _, camera in walk]
    changes = [a != b for a, b in pairwise(cameras)]
    assert sum(changes) == len(counts) - 1
    steps = np.diff([frame for frame, _ in walk])
    low, high = walks.GAP
    stays = steps[~np.array(changes, bool)]
    assert all(low * SECOND - 1 <= step <= high * SECOND + 1 for step in stays)


def test_ways_take_their_base_time_give_or_take_the_spread():
    factors = []
    for seed in range(200):
        ways = walks.draw_ways(np.random.default_rng(seed), 6)
        walk = one_walk(seed, dict.fromkeys(range(6), 1))
        for (frame, here), (later, there) in pairwise(walk):
            assert later > frame
            factors.append(((later - frame) / SECOND - np.mean(walks.GAP)) / ways[here, there])
    inside = np.abs(np.log(np.maximum(factors, 1e-3))) < 2 * walks.WAY_SPREAD
    assert 0.9 < inside.mean() < 0.98
    assert np.median(factors) == pytest.approx(1, abs=0.03)


@given(seeds, st.integers(2, 20))
def test_more_cameras_leave_the_ways_of_the_first_ones(seed, cameras):
    ways = walks.draw_ways(np.random.default_rng(seed), cameras)
    more = walks.draw_ways(np.random.default_rng(seed), cameras + 3)
    np.testing.assert_array_equal(more[:cameras, :cameras], ways)
    np.testing.assert_array_equal(ways, ways.T)
    assert ways.min() == walks.SHORTEST_WAY


def test_the_nearer_camera_is_mostly_next():
    ways = np.array([[0.0, 20.0, 100.0], [20.0, 0.0, 100.0], [100.0, 100.0, 0.0]])
    nearer = 0
    for seed in range(300):
        frames = walks.draw_walks(np.random.default_rng(seed), ways, {0: 1, 1: 1, 2: 1}, (0,))
        order = sorted(frames, key=frames.__getitem__)
        nearer += order[0] != 2 and order[1] != 2
    # Two of three walks start in the close pair; those stay in it with 1 / (1 + exp(-80 / 40)).
    assert nearer / 300 == pytest.approx(2 / 3 * 0.88, abs=0.08)


@given(seeds, st.sampled_from([(), (0,), (1,), (0, 2), (1, 2)]))
def test_rush_hours_avoid_the_taken_ones(seed, taken):
    rushes = walks.draw_rushes(np.random.default_rng(seed), taken)
    assert 1 <= len(rushes) <= 2
    assert list(rushes) == sorted(set(rushes))
    assert not set(rushes) & set(taken)


def test_some_people_return_hours_later():
    returns = [len(walks.draw_rushes(np.random.default_rng(seed))) == 2 for seed in range(500)]
    assert np.mean(returns) == pytest.approx(walks.RETURN, abs=0.07)
    ways = walks.draw_ways(np.random.default_rng(0), 2)
    frames = walks.draw_walks(np.random.default_rng(0), ways, {0: 20, 1: 20}, (0, 2))
    for found in frames.values():
        steps = np.diff(found) / SECOND / walks.HOUR
        assert (steps > 1).sum() == 1
        assert 5 < steps.max() < 9


@given(seeds, st.integers(0, 3000))
def test_passers_of_a_camera_have_frames_of_their_own(seed, count):
    frames = walks.draw_passers(np.random.default_rng(seed), count)
    assert len(frames) == count
    assert all(np.diff(frames) > 0)
    assert all(0 <= frame < walks.DAY for frame in frames)


@pytest.mark.parametrize("first", [-5.0, 3.0, 11.0 * walks.HOUR + 60])
def test_frames_that_coincide_move_to_the_next_and_stay_in_the_day(first):
    frames = walks._frames(np.array([first, first, first + 0.01, first + 2]))
    assert all(np.diff(frames) > 0)
    assert frames[0] >= 0
    assert frames[-1] < walks.DAY
    if first == 3.0:
        assert frames.tolist() == [75, 76, 77, 125]


def test_more_images_than_frames_are_refused(monkeypatch):
    monkeypatch.setattr(walks, "DAY", 3)
    assert walks.draw_passers(np.random.default_rng(0), 3) == [0, 1, 2]
    with pytest.raises(ValueError, match="4 images need more than the 3 frames of a day"):
        walks.draw_passers(np.random.default_rng(0), 4)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cameras=st.integers(2, 6),
    images=st.tuples(st.integers(1, 3), st.integers(0, 4)),
    distractors=st.integers(0, 60),
    look_alike=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_file_names_sort_as_the_images_are_numbered(seed, cameras, images, distractors, look_alike):
    config = SyntheticConfig(
        seed=seed,
        train_identities=12,
        test_identities=8,
        cameras=cameras,
        min_images=images[0],
        max_images=sum(images),
        distractors=distractors,
        look_alike=look_alike,
    )
    shots = list(list_shots(config))
    assert list(list_shots(config)) == shots
    assert len({shot.path for shot in shots}) == len(shots)
    times = defaultdict(list)
    for shot in sorted(shots, key=lambda shot: shot.path):
        name, camera, frame, number = parts(shot.path)
        assert (camera, number) == (shot.camera + 1, shot.number)
        times[shot.path.split("/")[0], name, camera].append(((shot.identity, number), frame))
    for found in times.values():
        assert found == sorted(found)
        frames = [frame for _, frame in found]
        assert len(set(frames)) == len(frames)


def test_look_alikes_walk_when_their_models_do_not():
    config = SyntheticConfig(train_identities=150, test_identities=2, look_alike=0.5)
    minutes = defaultdict(set)
    for shot in list_shots(config):
        if shot.group == dataset._TRAIN:
            frame = parts(shot.path)[2]
            minutes[shot.identity].add(frame // SECOND // 60)
    doubles = [
        (identity, model)
        for identity in minutes
        if (model := dataset._model(config, identity, person_stream(config, identity)))
    ]
    assert 50 < len(doubles) < 100
    for identity, model in doubles:
        gap = min(abs(a - b) for a in minutes[identity] for b in minutes[model])
        assert gap > 60, (identity, model)


def person_stream(config: SyntheticConfig, identity: int) -> np.random.Generator:
    return dataset._rng(config, dataset._PERSON, dataset._TRAIN, identity)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_time_between_cameras_tells_much_and_not_all(seed):
    """Histograms by camera pair, made on even identities, judge pairs of odd ones."""
    shots = list_shots(SyntheticConfig(seed=seed, test_identities=2, distractors=0))
    rows = np.array([parts(shot.path) for shot in shots if "train" in shot.path])
    identity, camera, frame, _ = rows[np.argsort(rows[:, 1], kind="stable")].T
    i, j = np.nonzero(camera[:, None] < camera[None])
    difference, same = frame[j] - frame[i], identity[i] == identity[j]
    edges = np.geomspace(100, walks.DAY, 30)
    half = np.searchsorted(edges, np.abs(difference)) + 1
    place = np.where(difference < 0, -half, half) + 31
    cameras = camera[i] * 100 + camera[j]
    odd = identity % 2 == 1
    learn, judge = ~odd[i] & ~odd[j], odd[i] & odd[j]
    score = np.zeros(len(i))
    for pair in np.unique(cameras):
        here = cameras == pair
        yes, no = (
            np.bincount(place[here & learn & kind], minlength=63) + 0.5 for kind in (same, ~same)
        )
        score[here] = np.log(yes / yes.sum() / (no / no.sum()))[place[here]]
    assert 0.75 < roc_auc_score(same[judge], score[judge]) < 0.99
