"""Subgraphs and node labels of pairs against networkx, one pair at a time."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.gcn.subgraphs import PairGraphs, check_pairs, pair_graphs


def drnl(graph: nx.Graph, i: int, j: int) -> dict[int, int]:
    """Double-radius node labels by shortest paths, each with the other end taken away (SEAL)."""
    labels = {i: 1, j: 1}
    without = {end: graph.subgraph(set(graph) - {other}) for end, other in ((i, j), (j, i))}
    paths = {end: nx.single_source_shortest_path_length(without[end], end) for end in (i, j)}
    for node in set(graph) - {i, j}:
        if node not in paths[i] or node not in paths[j]:
            labels[node] = 0
            continue
        a, b = paths[i][node], paths[j][node]
        total = a + b
        labels[node] = 1 + min(a, b) + (total // 2) * (total // 2 + total % 2 - 1)
    return labels


def literal(pair: tuple[int, int], neighbors: np.ndarray) -> tuple[nx.Graph, dict[int, int]]:
    i, j = pair
    graph = nx.Graph()
    graph.add_nodes_from(pair)
    for end in pair:
        graph.add_edges_from((end, int(n)) for n in neighbors[end] if n not in (-1, end))
    if graph.has_edge(i, j):
        graph.remove_edge(i, j)
    return graph, drnl(graph, i, j)


def assert_equal(pairs: np.ndarray, neighbors: np.ndarray) -> None:
    found = pair_graphs(torch.from_numpy(pairs), torch.from_numpy(neighbors))
    for p, pair in enumerate(map(tuple, pairs.tolist())):
        graph, labels = literal(pair, neighbors)
        slots = found.valid[p].nonzero()[:, 0].tolist()
        nodes = found.nodes[p, slots].tolist()
        assert len(nodes) == len(set(nodes))
        assert dict(zip(nodes, found.labels[p, slots].tolist(), strict=True)) == labels
        edges = {
            frozenset((end, nodes[slots.index(s)]))
            for end, link in zip(pair, (found.first[p], found.second[p]), strict=True)
            for s in link.nonzero()[:, 0].tolist()
        }
        assert edges == {frozenset(edge) for edge in graph.edges}
        assert not found.labels[p][~found.valid[p]].any()


def test_ten_thousand_pairs():
    """Few images, so that shared and mutual neighbours are common."""
    rng = np.random.default_rng(0)
    neighbors = np.argsort(rng.random((60, 60)), axis=1)[:, :7]
    pairs = rng.integers(0, 60, (10_400, 2))
    pairs = pairs[pairs[:, 0] != pairs[:, 1]][:10_000]
    assert len(pairs) == 10_000
    mutual = (neighbors[pairs[:, 0]] == pairs[:, 1:]).any(1)
    mutual &= (neighbors[pairs[:, 1]] == pairs[:, :1]).any(1)
    assert mutual.sum() > 50
    assert_equal(pairs, neighbors)


@given(st.integers(2, 9), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_any_size(count, k, seed):
    """Also k larger than the number of images: the lists then end in -1."""
    rng = np.random.default_rng(seed)
    neighbors = np.full((count, k), -1)
    near = np.argsort(rng.random((count, count)), axis=1)[:, :k]
    neighbors[:, : near.shape[1]] = near
    pairs = np.array([(i, j) for i in range(count) for j in range(count) if i != j])
    assert_equal(pairs, neighbors)


def test_propagation_is_the_mean_over_a_node_and_its_links():
    neighbors = np.array([[1, 2], [2, 3], [0, 1], [0, 1], [0, 1]])
    pair = (0, 1)
    graphs = pair_graphs(torch.tensor([pair]), torch.from_numpy(neighbors))
    graph, _ = literal(pair, neighbors)
    slots = graphs.valid[0].nonzero()[:, 0]
    nodes = graphs.nodes[0, slots].tolist()
    matrix = nx.to_numpy_array(graph, nodelist=nodes) + np.eye(len(nodes))
    matrix /= matrix.sum(axis=1, keepdims=True)
    found = graphs.propagation()[0]
    np.testing.assert_allclose(found[slots][:, slots], matrix, rtol=1e-6)
    assert found.sum() == pytest.approx(len(nodes))


def test_pyg_holds_the_same_graphs():
    neighbors = np.array([[1, 2], [2, 3], [0, 1], [0, 1], [0, 1]])
    pairs = torch.tensor([[0, 1], [3, 4]])
    graphs = pair_graphs(pairs, torch.from_numpy(neighbors))
    data = graphs.to_pyg(graphs.nodes[..., None].float())
    assert torch.equal(data.x[:, 0].long(), data.row)
    for p, pair in enumerate(map(tuple, pairs.tolist())):
        graph, labels = literal(pair, neighbors)
        mine = data.batch == p
        assert dict(zip(data.row[mine].tolist(), data.drnl[mine].tolist(), strict=True)) == labels
        inside = mine[data.edge_index[0]]
        ends = data.row[data.edge_index[:, inside]].T.tolist()
        assert {frozenset(e) for e in ends} == {frozenset(e) for e in graph.edges}
        assert len(ends) == 2 * graph.number_of_edges()


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[1, 1]], "joins a row to itself"),
        ([[0, 2]], "outside 0..1"),
        ([[-1, 0]], "outside 0..1"),
    ],
)
def test_refused(pairs, message):
    with pytest.raises(ValueError, match=message):
        check_pairs(torch.tensor(pairs), 2)


def test_pairs_that_fit():
    check_pairs(torch.tensor([[0, 1], [1, 0]]), 2)
    check_pairs(torch.empty(0, 2, dtype=torch.int64), 0)


def test_pairs_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"must be \(P, 2\)"):
        pair_graphs(torch.tensor([0, 1]), torch.tensor([[1], [0]]))


@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_parts_are_the_graphs_of_their_pairs(size):
    rng = np.random.default_rng(0)
    neighbors = torch.from_numpy(np.argsort(rng.random((9, 9)), axis=1)[:, :4])
    pairs = torch.tensor([[0, 1], [2, 3], [4, 5], [6, 7], [8, 0], [1, 7], [3, 2]])
    whole = pair_graphs(pairs, neighbors)
    parts = whole.split(size)
    again = PairGraphs.join(parts)
    for name in ("nodes", "valid", "first", "second", "labels"):
        for part, own in zip(parts, pairs.split(size), strict=True):
            assert torch.equal(getattr(part, name), getattr(pair_graphs(own, neighbors), name))
        assert torch.equal(getattr(again, name), getattr(whole, name))


def test_no_pairs():
    graphs = pair_graphs(torch.empty(0, 2, dtype=torch.int64), torch.tensor([[1], [0]]))
    assert len(graphs) == 0
    assert graphs.propagation().shape == (0, 4, 4)
