"""The network of torch-geometric's layers: the same interface and promises as our own."""

import pytest
import torch

from mprd.gcn.judge import Judge
from mprd.gcn.learning import build_gcn, train_gcn
from mprd.gcn.networks.registry import GcnShape, build_network
from mprd.gcn.node_features import RELATIONAL_FEATURES
from mprd.gcn.weights import load_gcn, save_gcn
from tests.gcn.conftest import make_epoch
from tests.gcn.test_dgcnn import some_pairs


def judge(epoch, kind):
    torch.manual_seed(0)
    inputs = epoch.features.shape[1] if kind == "raw" else RELATIONAL_FEATURES
    network = build_network(GcnShape(kind, inputs, (12, 8), mlp=6, network="gatv2")).eval()
    context = epoch.context()
    sample = torch.tensor([[0, 1], [5, 80], [7, 3], [11, 50]])
    return Judge(network, context, None if kind == "raw" else context.scaling(sample))


@pytest.mark.parametrize("kind", ["raw", "relational"])
def test_order_and_company_do_not_matter(kind):
    epoch = make_epoch(count=300, dim=24, seed=1)
    asked = judge(epoch, kind)
    pairs = some_pairs(1200, 300)
    together = asked.probability(pairs)
    assert torch.equal(together, asked.probability(pairs.flip(1)))
    alone = torch.cat([asked.probability(pairs[p : p + 1]) for p in range(0, 1200, 50)])
    assert (together[::50] - alone).abs().max() <= 1e-6
    assert together.std() > 1e-4


def test_one_pair_by_hand(epoch):
    """Attention of every node to its neighbours and itself, from the layer's own weights."""
    asked = judge(epoch, "raw")
    graphs = asked.context.graphs(torch.tensor([[3, 40]]))
    model = asked.network
    projected = model.project(asked.context.memory[graphs.nodes])
    data = graphs.to_pyg(projected)
    x = data.x + model.label(data.drnl)
    for layer in model.layers:
        links = torch.eye(len(x), dtype=torch.bool)
        links[data.edge_index[1], data.edge_index[0]] = True
        source, target = layer.lin_l(x), layer.lin_r(x)
        score = torch.nn.functional.leaky_relu(source[None] + target[:, None], 0.2)
        score = (score * layer.att.flatten()).sum(-1).masked_fill(~links, float("-inf"))
        x = torch.nn.functional.elu(score.softmax(dim=1) @ source + layer.bias)
    order = x[:, -1].argsort(descending=True, stable=True)[: model.shape.sort_k]
    kept = torch.zeros(model.shape.sort_k, x.shape[1])
    kept[: len(order)] = x[order]
    expected = model.classify(kept.flatten())
    torch.testing.assert_close(model(graphs, projected), expected, atol=1e-5, rtol=1e-5)


def test_it_learns_and_is_saved(epoch, tmp_path, tiny_config):
    from mprd.gcn.learning import TaskSource
    from mprd.gcn.pairs import PairSet

    settings = tiny_config.gcn.model_copy(
        update={"network": "gatv2", "hidden": (12, 8), "mlp": 6, "inner_rate": 0.1}
    )
    context = epoch.context()
    pairs = some_pairs(8000, len(epoch.features))
    network = build_gcn(settings, epoch.features.shape[1], 0)
    asked = Judge(network, context, context.scaling(pairs))
    same = context.jaccard(*pairs.T) > 0.2
    one_relation = torch.zeros_like(same)  # so that tasks draw from two groups, both large
    source = TaskSource("x", asked, PairSet(pairs, same, one_relation), 60)
    losses = train_gcn(network, [source], settings, torch.Generator().manual_seed(0))["x"]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    save_gcn(tmp_path / "g.safetensors", network, config={}, inputs={}, seed=0)
    loaded, _ = load_gcn(tmp_path / "g.safetensors", epoch.features.shape[1])
    again = Judge(loaded, context, asked.scaling)
    assert torch.equal(again.probability(pairs), asked.probability(pairs))
