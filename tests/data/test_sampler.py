import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.data.sampler import cluster_members, draw_partners, plan_batches


def plan(labels, cameras=None, *, iters=5, P=3, S=4, camera_aware=False, seed=0):
    labels = np.asarray(labels)
    cameras = np.zeros(len(labels), int) if cameras is None else np.asarray(cameras)
    return plan_batches(
        labels,
        cameras,
        iters=iters,
        identities=P,
        instances=S,
        camera_aware=camera_aware,
        rng=np.random.default_rng(seed),
    )


def labels_of(sizes, outliers=3):
    return np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(outliers, -1)])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_batches_are_balanced_and_hold_no_outlier(sizes, seed):
    labels = labels_of(sizes)
    for batch in plan(labels, seed=seed):
        groups = labels[batch].reshape(3, 4)
        assert (groups >= 0).all()
        assert (groups == groups[:, :1]).all()
        if len(sizes) >= 3:
            assert len(set(groups[:, 0])) == 3
        for rows in batch.reshape(3, 4):
            assert len(set(rows)) == min(4, sizes[labels[rows[0]]])


def test_every_cluster_comes_once_before_any_comes_again():
    labels = labels_of([4] * 6)
    order = labels[plan(labels, iters=4)].reshape(-1, 4)[:, 0]
    assert sorted(order[:6]) == list(range(6))
    assert sorted(order[6:]) == list(range(6))


def test_fewer_clusters_than_a_batch_holds():
    found = plan(labels_of([5, 5]))
    assert found.shape == (5, 12)
    assert set(labels_of([5, 5])[found].ravel()) == {0, 1}


def test_camera_aware_takes_different_cameras_first():
    labels = np.zeros(40, int)
    labels[20:] = 1
    cameras = np.array([0] * 17 + [1, 2, 3] + [0] * 17 + [1, 2, 3])
    for batch in plan(labels, cameras, P=2, camera_aware=True):
        for rows in batch.reshape(2, 4):
            assert sorted(cameras[rows]) == [0, 1, 2, 3]
    plain = plan(labels, cameras, P=2, iters=20)
    assert any(len(set(cameras[rows])) < 4 for rows in plain.reshape(-1, 4))


def test_same_seed_same_plan():
    labels = labels_of([3, 7, 5, 4])
    assert np.array_equal(plan(labels, seed=1), plan(labels, seed=1))
    assert not np.array_equal(plan(labels, seed=1), plan(labels, seed=2))


def test_no_labels_is_an_error():
    with pytest.raises(ValueError, match="no image has a pseudo-label"):
        plan([-1, -1])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_partners_are_other_images_of_the_cluster(sizes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(labels_of(sizes))
    rows = np.flatnonzero(labels >= 0).repeat(3).reshape(3, -1)
    partners = draw_partners(labels, rows, rng)
    assert (labels[partners] == labels[rows]).all()
    alone = np.array(sizes)[labels[rows]] == 1
    assert ((partners == rows) == alone).all()


def test_partners_are_uniform():
    labels = np.zeros(4, int)
    rows = np.zeros(6000, int)
    partners = draw_partners(labels, rows, np.random.default_rng(0))
    assert np.abs(np.bincount(partners, minlength=4)[1:] - 2000).max() < 150


def test_cluster_members():
    found = cluster_members(np.array([1, -1, 0, 1]))
    assert [m.tolist() for m in found] == [[2], [0, 3]]
    assert cluster_members(np.array([-1, -1])) == []
