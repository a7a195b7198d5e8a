"""Judged pairs per second: ours, in bulk, against one pair at a time.

`python benchmarks/relations.py` (CPU) or `--device cuda`. Both are the same network at the paper's
widths on the same pairs; the literal version builds each subgraph with networkx and runs its own
forward pass, (A + I) X W as written. Their answers are compared.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import torch
import torch.nn.functional as F
from common import Row, embeddings, report
from scipy.sparse import csr_array

from mprd.gcn.context import RelationContext
from mprd.gcn.judge import Judge
from mprd.gcn.networks.dgcnn import Dgcnn
from mprd.gcn.networks.registry import GcnShape
from mprd.gcn.node_features import RELATIONAL_FEATURES
from mprd.graph import jaccard_distance, knn
from mprd.pairs.pair_list import canonical


def labels_of(graph: nx.Graph, i: int, j: int) -> dict[int, int]:
    """Return the DRNL label of each node by shortest paths, each without the other end."""
    paths = [
        nx.single_source_shortest_path_length(graph.subgraph(set(graph) - {other}), end)
        for end, other in ((i, j), (j, i))
    ]
    labels = {}
    for node in graph:
        a, b = paths[0].get(node), paths[1].get(node)
        total = -1 if a is None or b is None else a + b
        half = total // 2
        labels[node] = 0 if total < 0 else 1 + min(a, b) + half * (half + total % 2 - 1)
    return labels | {i: 1, j: 1}


def literal(judge: Judge, pair: tuple[int, int], features: torch.Tensor) -> float:
    """Judge one pair: subgraph, labels, propagation, sorting, convolutions.

    Args:
        judge: the network in its context.
        pair: i < j.
        features: (N, F) node features.
    """
    model, context = judge.network, judge.context
    star = context.neighbors[:, : context.star_size]
    graph = nx.Graph()
    graph.add_nodes_from(pair)
    for end in pair:
        graph.add_edges_from((end, n) for n in star[end].tolist() if n != end)
    if graph.has_edge(*pair):
        graph.remove_edge(*pair)
    labels = labels_of(graph, *pair)
    nodes = list(graph)
    links = torch.from_numpy(nx.to_numpy_array(graph)).float() + torch.eye(len(nodes))
    links = links / links.sum(dim=1, keepdim=True)
    kind = torch.tensor([labels[n] for n in nodes])
    x = torch.cat([F.one_hot(kind, model.label.num_embeddings).float(), features[nodes]], dim=1)
    weight = torch.cat([model.label.weight, model.feature.weight.T])
    layers = [torch.tanh(links @ x @ weight)]
    for conv in model.convs:
        layers.append(torch.tanh(links @ layers[-1] @ conv.weight.T))
    x = torch.cat(layers, dim=1)
    k = model.shape.sort_k
    x = F.pad(x[x[:, -1].argsort(descending=True, stable=True)[:k]], (0, 0, 0, max(0, k - len(x))))
    x = F.relu(F.conv1d(x.T[None], model.node.weight[:, :, None], model.node.bias))
    x = F.max_pool1d(x, 2)
    window = model.window.weight.reshape(len(model.window.weight), 5, -1).transpose(1, 2)
    x = F.relu(F.conv1d(x, window, model.window.bias)).amax(dim=2)
    return float(torch.softmax(model.classify(x), dim=1)[0, 1])


def seconds(function: Callable[[], object], runs: int, device: torch.device) -> float:
    """Return the median time of a call."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def some_epoch(count: int, dim: int, device: torch.device) -> RelationContext:
    features, _ = embeddings(count, dim)
    _, neighbors = knn(features, 30)
    distance: csr_array = jaccard_distance(features, neighbors)
    cameras = np.random.default_rng(0).integers(0, 6, count)
    return RelationContext.of_graph(
        memory=torch.from_numpy(features).to(device),
        neighbors=neighbors,
        distance=distance,
        cameras=cameras,
        star=7,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=12_936, help="images")
    parser.add_argument("--dim", type=int, default=2048)
    parser.add_argument("--pairs", type=int, default=4096)
    parser.add_argument("--literal", type=int, default=64, help="pairs judged one by one")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the rows there")
    options = parser.parse_args()
    device = torch.device(options.device)
    context = some_epoch(options.n, options.dim, device)
    rng = np.random.default_rng(1)
    first = rng.integers(0, options.n, options.pairs)
    near = context.neighbors.cpu().numpy()[first, rng.integers(0, 29, options.pairs)]
    pairs = canonical(torch.from_numpy(np.stack([first, near], axis=1))).to(device)
    rows = []
    size = f"{options.pairs:,} pairs, N={options.n:,}, D={options.dim}, {device}"
    for kind, inputs in (("raw", options.dim), ("relational", RELATIONAL_FEATURES)):
        torch.manual_seed(0)
        network = Dgcnn(GcnShape(kind, inputs)).to(device).eval()
        scaling = context.scaling(pairs[:1024]) if kind == "relational" else None
        judge = Judge(network, context, scaling)
        answers = judge.probability(pairs)
        ours = seconds(lambda judge=judge: judge.probability(pairs), options.runs, device)
        rate = options.pairs / ours
        if kind == "relational":  # its node features belong to pairs: no literal network input
            rows.append(_row(kind, size, rate))
            continue
        on_cpu = Judge(network.cpu(), context, scaling)
        few = pairs[: options.literal].tolist()
        memory = context.memory.cpu()
        with torch.no_grad():
            found = [literal(on_cpu, tuple(pair), memory) for pair in few]
            slow = seconds(
                lambda j=on_cpu, m=memory, few=few: [literal(j, tuple(p), m) for p in few],
                options.runs,
                torch.device("cpu"),
            )
        network.to(device)
        difference = (torch.tensor(found) - answers[: len(few)].cpu()).abs().max()
        one = len(few) / slow
        rows.append(_row(kind, size, rate))
        ratio = rate / one
        rows.append(
            Row(
                "judged pairs, one at a time",
                size,
                f"{ratio:.0f}x",
                "35x",
                ratio >= 35,
                f"literal {one:.0f} pairs/s; largest difference {difference:.0e}",
            )
        )
    report(rows, options.json)


def _row(kind: str, size: str, rate: float) -> Row:
    what = f"judged pairs, {kind} node features"
    return Row(what, size, f"{rate:,.0f} pairs/s", "1,000 pairs/s", rate >= 1000)


if __name__ == "__main__":
    main()
