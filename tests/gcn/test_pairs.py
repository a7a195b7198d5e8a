"""Training pairs without labels."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from mprd.clustering.dbscan import dbscan
from mprd.clustering.tracks import TrackGroups
from mprd.gcn.learning import _most_tasks
from mprd.gcn.pairs import PairSet, camera_pairs, doubtful_pairs, strict_pairs, view_pairs


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_small_clusters_give_all_their_pairs(labels):
    found = doubtful_pairs(torch.tensor(labels), generator())
    expected = [
        (i, j) for i, j in combinations(range(len(labels)), 2) if labels[i] == labels[j] >= 0
    ]
    assert list(map(tuple, found.tolist())) == expected


def test_a_track_gives_the_pairs_of_its_first_image():
    labels = torch.tensor([0, 0, 0, 1, 0, 1])
    tracks = TrackGroups.of_tracks(np.array([7, 7, -1, 3, -1, 3]))
    found = doubtful_pairs(labels, generator(), tracks)
    assert found.tolist() == [[0, 2], [0, 4], [2, 4]]


def test_a_large_cluster_gives_some_pairs_of_every_image(monkeypatch):
    labels = torch.tensor([0] * 500 + [-1] * 20 + [1] * 5)
    found = doubtful_pairs(labels, generator())
    assert 500 * 16 < len(found) <= 500 * 32 + 10
    assert (labels[found[:, 0]] == labels[found[:, 1]]).all()
    assert (found[:, 0] < found[:, 1]).all()
    assert len(torch.unique(found, dim=0)) == len(found)
    assert torch.bincount(found.flatten(), minlength=525)[:500].min() >= 20
    assert torch.equal(found, doubtful_pairs(labels, generator()))
    monkeypatch.setattr("mprd.gcn.pairs._BLOCK_IMAGES", 7)
    assert torch.equal(found, doubtful_pairs(labels, generator())), "a block's size changes nothing"


def test_camera_pairs_are_those_of_the_ranks(epoch):
    context = epoch.context()
    doubtful = doubtful_pairs(torch.zeros(len(epoch.features), dtype=torch.int64), generator())
    found = camera_pairs(context, doubtful, positive_rank=2, negative_rank=9)
    answers = dict(zip(map(tuple, found.pairs.tolist()), found.same.tolist(), strict=True))
    means = np.stack([epoch.features[epoch.cameras == c].mean(axis=0) for c in range(3)])
    centred = epoch.features - means[epoch.cameras]
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    alike = centred @ centred.T

    pairs = doubtful.numpy()
    ones = np.ones_like(epoch.distance.data)
    stored = csr_array((ones, epoch.distance.indices, epoch.distance.indptr)).toarray() > 0
    alike_by_lists = np.where(stored, 1 - epoch.distance.toarray(), 0)
    of_one = epoch.cameras[pairs[:, 0]] == epoch.cameras[pairs[:, 1]]
    values = alike_by_lists[pairs[:, 0], pairs[:, 1]]
    median = {
        c: np.sort(values[of_one == c])[(np.sum(of_one == c) - 1) // 2] for c in (True, False)
    }

    def rank(i, j):
        nearer = (epoch.cameras == epoch.cameras[j]) & (alike[i] > alike[i, j] + 1e-5)
        nearer[i] = False
        return 1 + int(nearer.sum())

    for i, j in doubtful[:: max(1, len(doubtful) // 400)].tolist():
        worst = max(rank(i, j), rank(j, i))
        jaccard = alike_by_lists[i, j]
        middle = median[epoch.cameras[i] == epoch.cameras[j]]
        positive, negative = worst <= 2 and jaccard >= middle, worst > 8 and jaccard <= middle
        expected = True if positive else False if negative else None
        assert answers.get((i, j)) == expected, (i, j, worst)
    assert found.usable()
    assert np.mean(
        [epoch.identity[i] == epoch.identity[j] for (i, j), s in answers.items() if s]
    ) > (
        np.mean([epoch.identity[i] == epoch.identity[j] for (i, j), s in answers.items() if not s])
    )


def test_strict_pairs(epoch):
    context = epoch.context()
    labels = torch.from_numpy(dbscan(epoch.distance, 0.7, 2)).long()
    strict = torch.from_numpy(dbscan(epoch.distance, 0.4, 2)).long()
    found = strict_pairs(context, doubtful_pairs(labels, generator()), strict)
    assert found.usable()
    lists = epoch.neighbors[:, 1:].tolist()
    for (i, j), same in zip(found.pairs.tolist(), found.same.tolist(), strict=True):
        together = strict[i] == strict[j] >= 0
        assert same == together
        assert together or not (j in lists[i] and i in lists[j])


def test_view_pairs(epoch):
    context = epoch.context()
    origin = torch.arange(0, 60, 3)
    views = torch.nn.functional.normalize(context.memory[origin] + 0.02, dim=1)
    extended = context.extended(views, origin)
    found = view_pairs(extended, origin)
    positive = found.pairs[found.same].tolist()
    assert positive == [[i, 90 + n] for n, i in enumerate(origin.tolist())]
    lists = epoch.neighbors[:, 1:].tolist()
    for stranger, view in found.pairs[~found.same].tolist():
        image = origin[view - 90].item()
        reciprocal = [n for n in lists[image] if image in lists[n]]
        assert stranger == next(
            n
            for n in lists[image]
            if n not in reciprocal
            and not any(n in lists[mate] and mate in lists[n] for mate in reciprocal)
        )
    assert found.same_camera[found.same].all()


def pair_set(same, camera) -> PairSet:
    count = len(same)
    pairs = torch.stack([torch.arange(count), torch.arange(count) + 100], dim=1)
    return PairSet(pairs, torch.tensor(same), torch.tensor(camera))


def test_tasks_are_balanced_over_answers_and_cameras():
    pairs = pair_set([True] * 3 + [False] * 97, [True, False, False] + [False] * 60 + [True] * 37)
    drawn = pairs.part(pairs.draw(64, generator()))
    assert len(drawn) == 64
    assert drawn.same.sum() == 32
    assert (drawn.same_camera & drawn.same).sum() == 16
    assert (drawn.same_camera & ~drawn.same).sum() == 16


def test_the_camera_never_tells_the_answer():
    """All positives are of one camera: negatives of two are not drawn, though there are some."""
    pairs = pair_set([True] * 5 + [False] * 20, [True] * 5 + [False] * 15 + [True] * 5)
    drawn = pairs.part(pairs.draw(64, generator()))
    assert drawn.same_camera.all()
    assert drawn.same.sum() == 32
    nothing_else = pair_set([True] * 5 + [False] * 5, [True] * 5 + [False] * 5)
    assert nothing_else.same[nothing_else.draw(8, generator())].sum() == 4


@pytest.mark.parametrize("same", [[True], [False, False]])
def test_one_kind_of_pairs_is_not_usable(same):
    assert not pair_set(same, same).usable()


def test_rare_pairs_limit_the_tasks(tiny_config):
    """Two negatives of one camera are drawn, however many there are of two cameras."""
    many = pair_set([True] * 50 + [False] * 2 + [False] * 50, [True] * 52 + [False] * 50)
    assert many.rarest() == (2, 0.5)
    settings = tiny_config.gcn
    assert _most_tasks(many, settings) == 1
    even = pair_set([True, False] * 500, [True] * 1000)
    drawn = settings.inner_steps * settings.batch / 2
    assert _most_tasks(even, settings) == int(10 * 500 / drawn)
