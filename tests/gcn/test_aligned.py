"""Alignment by torch is that of the graph, which has no torch."""

import numpy as np
import pytest
import torch

from mprd.gcn import aligned
from mprd.gcn.aligned import aligned_pair
from mprd.gcn.context import RelationContext
from mprd.graph.cameras import CameraStatistics
from tests.gcn.conftest import Epoch, make_epoch


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("block", [1, 7, 2**13])
@pytest.mark.parametrize("sizes", [(40, 25, 1), (1,), (30,)], ids=str)
def test_it_is_that_of_the_graph(standardize, block, sizes, monkeypatch):
    """Also for a camera with one image, and a dimension that never changes."""
    monkeypatch.setattr(aligned, "_BLOCK_ROWS", block)
    rng = np.random.default_rng(0)
    cameras = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    rows = rng.normal(size=(len(cameras) + 9, 6)).astype(np.float32)
    rows[:, 2] = 0.3
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    seen, looking = rows[: len(cameras)], rows[len(cameras) :]
    others = rng.integers(0, len(sizes), 9)
    statistics = CameraStatistics.of_images(seen, cameras, standardize=standardize)
    found = aligned_pair(
        *(torch.from_numpy(x) for x in (seen, cameras)),
        list(sizes),
        *(torch.from_numpy(x) for x in (looking, others)),
        standardize=standardize,
    )
    expected = statistics.align(seen, cameras), statistics.align(looking, others)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def context_of(epoch: Epoch, method) -> RelationContext:
    return RelationContext.of_graph(
        memory=torch.from_numpy(epoch.features.copy()),
        neighbors=epoch.neighbors,
        distance=epoch.distance,
        cameras=epoch.cameras,
        star=epoch.star,
        aligned=method,
    )


@pytest.mark.parametrize("method", ["none", "center", "standardize"])
def test_neighbours_of_views_are_the_nearest_aligned_images(method):
    epoch = make_epoch()
    context = context_of(epoch, method)
    origin = np.array([4, 50, 60])
    rng = np.random.default_rng(0)
    views = epoch.features[origin] + 0.1 * rng.normal(size=(3, 16)).astype(np.float32)
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    extended = context.extended(torch.from_numpy(views), torch.from_numpy(origin))
    seen, looking = epoch.features, views
    if method != "none":
        statistics = CameraStatistics.of_images(
            epoch.features, epoch.cameras, standardize=method == "standardize"
        )
        seen = statistics.align(epoch.features, epoch.cameras)
        looking = statistics.align(views, epoch.cameras[origin])
    nearest = np.argsort(-(looking @ seen.T), axis=1, kind="stable")
    width = context.neighbors.shape[1]
    assert extended.neighbors[len(context) :].tolist() == nearest[:, :width].tolist()
