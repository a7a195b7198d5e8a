"""The relation GCN against a literal, per-pair forward pass on torch-geometric graphs."""

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.nn import SortAggregation

from mprd.gcn.judge import Judge
from mprd.gcn.networks.dgcnn import Dgcnn, sort_pool
from mprd.gcn.networks.registry import GcnShape
from mprd.gcn.node_features import RELATIONAL_FEATURES
from mprd.pairs.pair_list import canonical
from tests.gcn.conftest import make_epoch


def network(inputs: int, kind: str, seed: int = 0) -> Dgcnn:
    torch.manual_seed(seed)
    shape = GcnShape(kind, inputs, (24, 20), 10, (12, 30), 14)
    return Dgcnn(shape).eval()


def judge(epoch, kind: str) -> Judge:
    context = epoch.context()
    if kind == "raw":
        return Judge(network(epoch.features.shape[1], kind), context, None)
    scaling = context.scaling(torch.tensor([[0, 1], [5, 80], [7, 3], [11, 50]]))
    return Judge(network(RELATIONAL_FEATURES, kind), context, scaling)


def some_pairs(count: int, images: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.randint(images, (2 * count, 2), generator=generator)
    return pairs[pairs[:, 0] != pairs[:, 1]][:count]


def literal(judge: Judge, pair: torch.Tensor) -> float:
    """One pair: message passing along edges, PyG's SortAggregation, convolutions by nn.Conv1d."""
    model, context = judge.network, judge.context
    graphs = context.graphs(pair[None])
    if judge.scaling is None:
        features = context.memory[graphs.nodes]
    else:
        features = (context.node_features(graphs) - judge.scaling.mean) / judge.scaling.std
    data = graphs.to_pyg(features)
    count = len(data.row)
    links = torch.eye(count)
    links[data.edge_index[0], data.edge_index[1]] = 1
    mean = links / links.sum(dim=1, keepdim=True)
    labels = F.one_hot(data.drnl, model.label.num_embeddings).float()
    inputs = torch.cat([labels, data.x], dim=1)
    weight = torch.cat([model.label.weight, model.feature.weight.T])
    hidden = torch.tanh(mean @ inputs @ weight)
    layers = [hidden]
    for conv in model.convs:
        layers.append(torch.tanh(mean @ layers[-1] @ conv.weight.T))
    nodes = torch.cat(layers, dim=1)
    k, channels = model.shape.sort_k, nodes.shape[1]
    pooled = SortAggregation(k)(nodes, torch.zeros(count, dtype=torch.int64))
    x = pooled.reshape(1, k, channels).transpose(1, 2)
    x = F.relu(F.conv1d(x, model.node.weight[:, :, None], model.node.bias))
    x = F.max_pool1d(x, 2)
    window = model.window.weight.reshape(len(model.window.weight), 5, -1).transpose(1, 2)
    x = F.relu(F.conv1d(x, window, model.window.bias)).amax(dim=2)
    return float(torch.softmax(model.classify(x), dim=1)[0, 1])


@pytest.mark.parametrize("kind", ["raw", "relational"])
def test_equals_the_literal_network(epoch, kind):
    asked = judge(epoch, kind)
    pairs = canonical(some_pairs(60, len(epoch.features)))
    with torch.no_grad():
        expected = [literal(asked, pair) for pair in pairs]
    found = asked.probability(pairs)
    torch.testing.assert_close(found, torch.tensor(expected), atol=2e-6, rtol=0)
    assert found.std() > 1e-4, "the answers differ from pair to pair"


@pytest.mark.parametrize("kind", ["raw", "relational"])
def test_order_of_the_ends_does_not_matter(epoch, kind):
    asked = judge(epoch, kind)
    pairs = some_pairs(300, len(epoch.features))
    assert torch.equal(asked.probability(pairs), asked.probability(pairs.flip(1)))


@pytest.mark.parametrize("kind", ["raw", "relational"])
def test_an_answer_does_not_depend_on_company(kind):
    epoch = make_epoch(count=600, dim=32, seed=1)
    asked = judge(epoch, kind)
    pairs = some_pairs(5000, 600)
    together = asked.probability(pairs)
    alone = torch.cat([asked.probability(pairs[p : p + 1]) for p in range(0, 5000, 50)])
    assert (together[::50] - alone).abs().max() <= 1e-6
    shuffled = torch.randperm(5000, generator=torch.Generator().manual_seed(0))
    assert (asked.probability(pairs[shuffled]) - together[shuffled]).abs().max() <= 1e-6


def test_the_widest_product_is_made_once_per_memory_row(epoch):
    asked = judge(epoch, "raw")
    seen = []
    asked.network.feature.register_forward_hook(lambda m, x, y: seen.append(len(x[0])))
    pairs = some_pairs(900, len(epoch.features))
    first = asked.probability(pairs)
    assert seen == [len(epoch.features)]
    rows = torch.tensor([4, 8])
    asked.context.memory[rows] = asked.context.memory[rows].flip(1)
    asked.refresh(rows)
    assert seen == [len(epoch.features), 2]
    changed = asked.probability(pairs)
    assert not torch.equal(changed, first)
    fresh = Judge(asked.network, asked.context, None).probability(pairs)
    torch.testing.assert_close(changed, fresh, atol=1e-6, rtol=0)


def test_gradients_reach_every_weight(epoch):
    for kind in ("raw", "relational"):
        asked = judge(epoch, kind)
        asked.logits(some_pairs(64, len(epoch.features))).square().sum().backward()
        for name, parameter in asked.network.named_parameters():
            assert parameter.grad is not None, (kind, name)
            assert parameter.grad.abs().sum() > 0, (kind, name)


def test_training_and_judging_agree(epoch):
    for kind in ("raw", "relational"):
        asked = judge(epoch, kind)
        pairs = some_pairs(100, len(epoch.features))
        with torch.no_grad():
            logits = asked.logits(pairs)
        torch.testing.assert_close(
            torch.sigmoid(logits), asked.probability(pairs), atol=1e-6, rtol=0
        )


def test_sort_pool_is_that_of_pyg():
    generator = torch.Generator().manual_seed(0)
    nodes = torch.randn(40, 9, 4, generator=generator)
    valid = torch.rand(40, 9, generator=generator) < 0.7
    valid[:, 0] = True
    index = valid.nonzero()[:, 0]
    expected = SortAggregation(6)(nodes[valid], index, dim_size=40).reshape(40, 6, 4)
    assert torch.equal(sort_pool(nodes, valid, 6), expected)
    wide = SortAggregation(12)(nodes[valid], index, dim_size=40).reshape(40, 12, 4)
    assert torch.equal(sort_pool(nodes, valid, 12), wide)


def test_no_pairs_and_small_sort_k(epoch):
    assert judge(epoch, "raw").probability(torch.empty(0, 2, dtype=torch.int64)).shape == (0,)
    with pytest.raises(ValueError, match="at least 10"):
        Dgcnn(GcnShape("raw", 4, sort_k=8))


def test_gradients_are_the_same_every_time():
    """Many pairs share few images, whose gradients are sums of many parts."""
    epoch = make_epoch(count=60, dim=256)
    asked = judge(epoch, "raw")
    pairs = some_pairs(4000, 60)
    found = []
    for _ in range(4):
        asked.network.zero_grad()
        asked.logits(pairs).square().sum().backward()
        found.append(asked.network.feature.weight.grad.clone())
    assert all(torch.equal(found[0], other) for other in found[1:])
