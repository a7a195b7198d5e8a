"""A relation network from layers of torch-geometric: attention over the stars of a pair.

GATv2 (Brody, Alon, Yahav: How Attentive are Graph Attention Networks?, ICLR 2022) in the place of
the averaging of DGCNN, then SortPooling (Zhang et al., AAAI 2018) and a classifier.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATv2Conv, SortAggregation

from mprd.gcn.networks.registry import GcnShape, RelationNetwork
from mprd.gcn.subgraphs import DRNL_CLASSES, PairGraphs


class Gatv2(RelationNetwork):
    """Attention over neighbours; `hidden`, `sort_k`, `mlp` and `dropout` are its sizes."""

    def __init__(self, shape: GcnShape) -> None:
        super().__init__(shape)
        self.feature = nn.Linear(shape.inputs, shape.hidden[0])
        self.label = nn.Embedding(DRNL_CLASSES, shape.hidden[0])
        widths = (shape.hidden[0], *shape.hidden)
        self.layers = nn.ModuleList(GATv2Conv(a, b) for a, b in pairwise(widths))
        self.pool = SortAggregation(shape.sort_k)
        self.classify = nn.Sequential(
            nn.Linear(shape.sort_k * shape.hidden[-1], shape.mlp),
            nn.ReLU(inplace=True),
            nn.Dropout(shape.dropout),
            nn.Linear(shape.mlp, 1),
        )

    def project(self, features: Tensor) -> Tensor:
        """Map node features (..., F) to (..., H)."""
        return self.feature(features)

    def forward(self, graphs: PairGraphs, projected: Tensor) -> Tensor:
        """Return logits (P,) of subgraphs, given the projected features (P, S, H)."""
        batch = graphs.to_pyg(projected)
        x = batch.x + self.label(batch.drnl)
        for layer in self.layers:
            x = F.elu(layer(x, batch.edge_index))
        pooled = self.pool(x, batch.batch, dim_size=len(graphs))
        return self.classify(pooled)[:, 0]
