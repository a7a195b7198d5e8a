"""Camera proxies and their contrast against a loop over images."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mprd.config import TrainConfig
from mprd.losses.camera import camera_loss
from mprd.losses.cluster_contrast import cluster_contrast_loss
from mprd.losses.memories.registry import MEMORIES, MemoryInputs

SETTINGS = TrainConfig(memory="camera", memory_update="mean", momentum=0.2)


def unit(n, d, seed):
    return F.normalize(
        torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)), dim=1
    )


def build(labels, cameras, seed=0):
    features = unit(len(labels), 5, seed)
    inputs = MemoryInputs(
        features=features,
        labels=torch.tensor(labels),
        cameras=torch.tensor(cameras),
        weights=torch.ones(len(labels), dtype=torch.float64),
    )
    return features, MEMORIES["camera"](inputs, SETTINGS)


def literal_loss(x, own, proxies, cluster, camera, temperature, across, hardest):
    total = 0.0
    for f, j in zip(x, own.tolist(), strict=True):
        score = [math.exp(float(f @ k) / temperature) for k in proxies]
        same_camera = [s for s, c in zip(score, camera, strict=True) if c == camera[j]]
        total -= math.log(score[j] / sum(same_camera))
        positive = [
            s
            for s, y, c in zip(score, cluster, camera, strict=True)
            if y == cluster[j] and c != camera[j]
        ]
        negative = sorted(s for s, y in zip(score, cluster, strict=True) if y != cluster[j])
        bottom = sum(positive) + sum(negative[::-1][:hardest])
        for s in positive:
            total -= across * math.log(s / bottom) / len(positive)
    return total / len(x)


@given(
    images=st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), min_size=2, max_size=14),
    hardest=st.integers(1, 6),
    seed=st.integers(0, 999),
)
def test_equals_a_loop_over_images(images, hardest, seed):
    used = sorted({c for c, _ in images})
    labels, cameras = [used.index(c) for c, _ in images], [camera for _, camera in images]
    _, memory = build(labels, cameras, seed)
    rows = torch.randint(len(labels), (5,), generator=torch.Generator().manual_seed(seed))
    x = unit(5, 5, seed + 1).requires_grad_()
    arguments = (memory.proxy[rows], memory.proxies, memory.proxy_cluster, memory.proxy_camera)
    found = camera_loss(x, *arguments, temperature=0.2, across=0.5, hardest=hardest)
    own, proxies, cluster, camera = arguments
    expected = literal_loss(
        x.detach(), own, proxies, cluster.tolist(), camera.tolist(), 0.2, 0.5, hardest
    )
    assert float(found.detach()) == pytest.approx(expected, abs=1e-8)
    found.backward()
    assert bool(x.grad.isfinite().all())


def test_proxies_are_means_by_cluster_and_camera_and_follow_the_batch():
    labels, cameras = [0, 0, 0, 1, 1, -1], [0, 1, 1, 0, -1, 0]
    features, memory = build(labels, cameras)
    pairs = sorted({(y, c) for y, c in zip(labels, cameras, strict=True) if y >= 0})
    found = list(zip(memory.proxy_cluster.tolist(), memory.proxy_camera.tolist(), strict=True))
    assert found == pairs
    expected = {}
    for pair in pairs:
        members = [features[i] for i in range(6) if (labels[i], cameras[i]) == pair]
        expected[pair] = F.normalize(torch.stack(members).mean(dim=0), dim=0)
    for row, pair in enumerate(found):
        assert torch.allclose(memory.proxies[row], expected[pair])
    rows, x = torch.tensor([1, 2, 3]), unit(3, 5, 7)
    memory.update(rows, x)
    moved = {(0, 1): (x[0] + x[1]) / 2, (1, 0): x[2]}
    for row, pair in enumerate(found):
        wanted = expected[pair]
        if pair in moved:
            wanted = F.normalize(0.2 * wanted + 0.8 * moved[pair], dim=0)
        assert torch.allclose(memory.proxies[row], wanted)


def test_without_cameras_it_is_cluster_contrast():
    labels = [0, 0, 1, 2, 2]
    _, memory = build(labels, [-1] * 5)
    rows, x = torch.tensor([0, 2, 4]), unit(3, 5, 3)
    found = camera_loss(
        x,
        memory.proxy[rows],
        memory.proxies,
        memory.proxy_cluster,
        memory.proxy_camera,
        temperature=0.1,
        across=0.5,
        hardest=50,
    )
    plain = cluster_contrast_loss(x, memory.labels[rows], memory.prototypes, temperature=0.1)
    assert float(found) == pytest.approx(float(plain))
