import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.data.sampler import SAMPLERS, cluster_members, draw_anchor, plan_batches


def plan(labels, cameras=None, *, iters=5, P=3, S=4, sampler="random", seed=0, lone_once=False):
    labels = np.asarray(labels)
    cameras = np.zeros(len(labels), int) if cameras is None else np.asarray(cameras)
    return plan_batches(
        labels,
        cameras,
        iters=iters,
        identities=P,
        instances=S,
        sampler=sampler,
        rng=np.random.default_rng(seed),
        lone_once=lone_once,
    )


def labels_of(sizes, outliers=3):
    return np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(outliers, -1)])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_batches_are_balanced_and_hold_no_outlier(sizes, seed):
    labels = labels_of(sizes)
    for batch in plan(labels, seed=seed):
        groups = labels[batch].reshape(4, 3).T
        assert (groups >= 0).all()
        assert (groups == groups[:, :1]).all()
        if len(sizes) >= 3:
            assert len(set(groups[:, 0])) == 3
        for rows in batch.reshape(4, 3).T:
            assert len(set(rows)) == min(4, sizes[labels[rows[0]]])


def test_every_cluster_comes_once_before_any_comes_again():
    labels = labels_of([4] * 6)
    order = labels[plan(labels, iters=4)].reshape(4, 4, 3)[:, 0].ravel()
    assert sorted(order[:6]) == list(range(6))
    assert sorted(order[6:]) == list(range(6))


def test_fewer_clusters_than_a_batch_holds():
    found = plan(labels_of([5, 5]))
    assert found.shape == (5, 12)
    assert set(labels_of([5, 5])[found].ravel()) == {0, 1}


def test_cameras_takes_different_cameras_first():
    labels = np.zeros(40, int)
    labels[20:] = 1
    cameras = np.array([0] * 17 + [1, 2, 3] + [0] * 17 + [1, 2, 3])
    for batch in plan(labels, cameras, P=2, sampler="cameras"):
        for rows in batch.reshape(4, 2).T:
            assert sorted(cameras[rows]) == [0, 1, 2, 3]
    plain = plan(labels, cameras, P=2, iters=20)
    assert any(len(set(cameras[rows])) < 4 for b in plain for rows in b.reshape(4, 2).T)


def test_same_seed_same_plan():
    labels = labels_of([3, 7, 5, 4])
    assert np.array_equal(plan(labels, seed=1), plan(labels, seed=1))
    assert not np.array_equal(plan(labels, seed=1), plan(labels, seed=2))


def test_no_labels_is_an_error():
    with pytest.raises(ValueError, match="no image has a pseudo-label"):
        plan([-1, -1])


def test_cluster_members():
    found = cluster_members(np.array([1, -1, 0, 1]))
    assert [m.tolist() for m in found] == [[2], [0, 3]]
    assert cluster_members(np.array([-1, -1])) == []


@given(
    cameras=st.lists(st.integers(-1, 3), min_size=1, max_size=9),
    count=st.integers(2, 12),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_anchor_draws_from_other_cameras(cameras, count, seed):
    """The published sampler, image by image."""
    cameras = np.array(cameras)
    found = draw_anchor(cameras, count, np.random.default_rng(seed))
    anchor, drawn = int(found[0]), found[1:].tolist()
    others = [n for n in range(len(cameras)) if n != anchor]
    apart = [n for n in others if cameras[n] != cameras[anchor] or cameras[anchor] < 0]
    pool = apart or others or [anchor]
    assert set(drawn) <= set(pool)
    assert len(drawn) == count - 1
    if len(pool) >= count - 1:
        assert len(set(drawn)) == count - 1, "no repeats where there are enough"


def test_share_of_images_not_of_the_main_camera():
    """A cluster of 10 + 2 + 2 images, 16 to draw: the published sampler shows the rare cameras."""
    cameras = np.repeat([0, 1, 2], [10, 2, 2])
    rng = np.random.default_rng(0)
    share = {
        name: np.mean([(cameras[draw(cameras, 16, rng)] != 0).mean() for _ in range(2000)])
        for name, draw in SAMPLERS.items()
    }
    assert share["random"] == pytest.approx(4 / 14, abs=0.02)
    # 10/14 of the anchors are of the main camera and show 15 others, 4/14 show 15 x 2/12.
    expected = (10 / 14) * 15 / 16 + (4 / 14) * (1 + 15 * 2 / 12) / 16
    assert share["anchor"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("P", "S", "group"), [(4, 16, 16), (16, 4, 16), (16, 16, 64), (8, 4, 4)])
@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_a_batch_norm_group_holds_as_many_clusters_as_it_can(P, S, group, sampler):
    labels = labels_of([20] * 2 * P)
    cameras = np.arange(len(labels)) % 3
    for batch in plan(labels, cameras, P=P, S=S, sampler=sampler):
        for rows in batch.reshape(-1, group):
            assert len(set(labels[rows].tolist())) == min(P, group)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=9), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_lone_images_come_once_where_clusters_come_s_times(sizes, seed):
    """As SpCL's sampler: over whole passes a class gives S images, a lone image itself."""
    labels = labels_of(sizes, outliers=0)
    a_pass = sum(4 if size > 1 else 1 for size in sizes)
    passes = 12 // np.gcd(a_pass, 12)  # until a pass ends with a batch of 12
    found = plan(labels, iters=passes * a_pass // 12, seed=seed, lone_once=True)
    assert found.shape == (passes * a_pass // 12, 12)
    seen = np.bincount(labels[found].ravel(), minlength=len(sizes))
    assert seen.tolist() == [passes * (4 if size > 1 else 1) for size in sizes]
    for batch in found:
        # Dealt: before the n-th image of a cluster stand the n-1st of all that have as many.
        seen_before = [int((labels[batch[:i]] == labels[row]).sum()) for i, row in enumerate(batch)]
        assert seen_before == sorted(seen_before)


def test_lone_images_come_as_often_as_others_else():
    labels = labels_of([1, 6], outliers=0)
    assert np.bincount(labels[plan(labels, iters=4)].ravel()).tolist() == [24, 24]
    once = np.bincount(labels[plan(labels, iters=5, lone_once=True)].ravel())
    assert once.tolist() == [12, 48]
