"""Relational node features against the definitions, one pair and one node at a time."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from mprd.gcn.camera_ranks import LEVELS, level_of
from mprd.gcn.node_features import RELATIONAL_FEATURES
from tests.gcn.conftest import make_epoch


class Literal:
    """The definitions, in numpy, one pair of images at a time."""

    def __init__(self, epoch):
        self.v, self.cameras = epoch.features.astype(np.float64), epoch.cameras
        self.lists = epoch.neighbors[:, 1:].tolist()
        self.distance = epoch.distance.toarray()
        ones = np.ones_like(epoch.distance.data)  # a stored distance may be 0
        parts = ones, epoch.distance.indices, epoch.distance.indptr
        self.stored = csr_array(parts, shape=epoch.distance.shape).toarray() > 0
        means = {c: self.v[self.cameras == c].mean(axis=0) for c in set(self.cameras.tolist())}
        centred = self.v - np.stack([means[c] for c in self.cameras.tolist()])
        self.centred = centred / np.linalg.norm(centred, axis=1, keepdims=True)

    def level(self, i, j):
        """Levels at which images of j's camera are nearer to i than j is."""
        others = [n for n in np.flatnonzero(self.cameras == self.cameras[j]) if n != i]
        ranked = np.sort(self.centred[others] @ self.centred[i])[::-1]
        own = self.centred[i] @ self.centred[j]
        return sum(1 for rank in LEVELS if rank <= len(ranked) and ranked[rank - 1] > own + 1e-5)

    def closeness(self, owner, member):
        near = self.lists[owner]
        return 1 / (1 + near.index(member)) if member in near else 0.0

    def relation(self, node, end):
        return np.array(
            [
                self.v[node] @ self.v[end],
                self.centred[node] @ self.centred[end],
                1 - self.distance[node, end] if self.stored[node, end] else 0.0,
                self.closeness(end, node),
                self.closeness(node, end),
                float(self.cameras[node] == self.cameras[end] >= 0),
                self.level(end, node),
                self.level(node, end),
            ]
        )

    def node(self, node, i, j, star):
        to_i, to_j = self.relation(node, i), self.relation(node, j)
        in_i = node == i or (node in self.lists[i][:star] and node != j)
        in_j = node == j or (node in self.lists[j][:star] and node != i)
        if in_i and in_j:
            own, other = np.maximum(to_i, to_j), np.minimum(to_i, to_j)
        else:
            own, other = (to_i, to_j) if in_i else (to_j, to_i)
        a, b = self.relation(j, i), self.relation(i, j)
        high, low = np.maximum(a, b), np.minimum(a, b)
        return np.concatenate([own, other, high[[0, 1, 2, 3, 5, 6]], low[[3, 6]]])


@pytest.mark.parametrize("unknown", [False, True], ids=["cameras", "no cameras"])
def test_node_features_are_the_definitions(unknown):
    epoch = make_epoch(seed=3)
    if unknown:
        object.__setattr__(epoch, "cameras", np.full(len(epoch.features), -1))
    literal, context = Literal(epoch), epoch.context()
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, len(epoch.features), (80, 2))
    near = np.stack([np.arange(40), epoch.neighbors[:40, 1]], axis=1)
    pairs = np.concatenate([pairs[pairs[:, 0] != pairs[:, 1]], near])
    graphs = context.graphs(torch.from_numpy(pairs))
    found = context.node_features(graphs).numpy()
    assert found.shape[2] == RELATIONAL_FEATURES
    for p, (i, j) in enumerate(pairs.tolist()):
        for slot in range(found.shape[1]):
            if not graphs.valid[p, slot]:
                assert not found[p, slot].any()
                continue
            expected = literal.node(int(graphs.nodes[p, slot]), i, j, epoch.star)
            np.testing.assert_allclose(found[p, slot], expected, atol=2e-5, err_msg=f"{i} {j}")


def test_a_mirrored_pair_has_the_same_nodes(epoch):
    context = epoch.context()
    pairs = torch.tensor([[0, 1], [3, 70], [12, 15], [33, 31]])
    one, two = (context.graphs(p) for p in (pairs, pairs.flip(1)))
    for p in range(len(pairs)):
        rows = []
        for graphs in (one, two):
            features = context.node_features(graphs)[p, graphs.valid[p]]
            nodes = graphs.nodes[p, graphs.valid[p]]
            rows.append(features[nodes.argsort()])
        torch.testing.assert_close(rows[0], rows[1], atol=1e-6, rtol=0)


def test_appearance_is_not_among_them(epoch):
    """A rotation of the embedding space changes what images look like, not what they are."""
    rng = np.random.default_rng(5)
    turn, _ = np.linalg.qr(rng.normal(size=(16, 16)))
    turned = make_epoch()
    object.__setattr__(turned, "features", (epoch.features @ turn).astype(np.float32))
    pairs = torch.tensor([[0, 1], [3, 70], [12, 15]])
    values = []
    for e in (epoch, turned):
        context = e.context()
        values.append(context.node_features(context.graphs(pairs)))
    torch.testing.assert_close(values[0], values[1], atol=1e-5, rtol=0)


def test_refresh_follows_the_memory(epoch):
    context = epoch.context()
    rows, columns = torch.tensor([2, 7, 9]), torch.tensor([40, 2, 7])
    before = context.centred_cosine(rows, columns)
    rng = np.random.default_rng(1)
    new = rng.normal(size=(2, 16)).astype(np.float32)
    context.memory[[2, 7]] = torch.from_numpy(new / np.linalg.norm(new, axis=1, keepdims=True))
    context.refresh(torch.tensor([2, 7]))
    after = context.centred_cosine(rows, columns)
    means = np.stack([epoch.features[epoch.cameras == c].mean(axis=0) for c in range(3)])
    moved = context.memory.numpy() - means[epoch.cameras]
    expected = (moved[rows] * moved[columns]).sum(1)
    expected /= np.linalg.norm(moved[rows], axis=1) * np.linalg.norm(moved[columns], axis=1)
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert not torch.allclose(before, after)


def test_a_view_is_a_node_of_its_own(epoch):
    context = epoch.context()
    origin = torch.tensor([4, 50])
    views = torch.nn.functional.normalize(context.memory[origin] + 0.01, dim=1)
    extended = context.extended(views, origin)
    assert len(extended) == len(context) + 2
    assert len(context) == len(epoch.features), "the context itself is as before"
    count = len(context)
    assert extended.neighbors[count, 0] == 4
    pairs = torch.tensor([[4, count], [count, count + 1]])
    assert extended.jaccard(*pairs.T).tolist() == [0, 0]
    cameras = epoch.cameras
    assert extended.same_camera(*pairs.T).tolist() == [True, cameras[4] == cameras[50]]
    assert extended.camera_level(torch.tensor([count]), torch.tensor([4])).tolist() == [0]
    features = extended.node_features(extended.graphs(pairs))
    assert torch.isfinite(features).all()


def test_scaling_is_over_the_nodes_of_the_pairs(epoch):
    context = epoch.context()
    pairs = torch.tensor([[0, 1], [5, 80], [7, 3]])
    graphs = context.graphs(pairs)
    values = context.node_features(graphs)[graphs.valid].double()
    scaling = context.scaling(pairs)
    torch.testing.assert_close(scaling.mean.double(), values.mean(0), atol=1e-6, rtol=0)
    expected = values.std(0, unbiased=False).clamp_min(1e-3)
    torch.testing.assert_close(scaling.std.double(), expected, atol=1e-6, rtol=0)
    empty = context.scaling(pairs[:0])
    assert empty.mean.tolist() == [0] * RELATIONAL_FEATURES
    assert empty.std.tolist() == [1] * RELATIONAL_FEATURES


def test_levels_of_ranks():
    assert [level_of(rank) for rank in (1, 2, 3, 5, 6, 11, 12)] == [
        0,
        1,
        2,
        4,
        4,
        6,
        7,
    ]
