"""The relation network of the paper.

DGCNN (Zhang et al., An End-to-End Deep Learning Architecture for Graph Classification, AAAI 2018)
on the enclosing subgraph of the pair (SEAL: Zhang & Chen, NeurIPS 2018), as in MPRD.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mprd.gcn.networks.registry import GcnShape, RelationNetwork
from mprd.gcn.subgraphs import DRNL_CLASSES, PairGraphs

_WINDOW = 5  # width of the second convolution, in pooled nodes


class Dgcnn(RelationNetwork):
    """Subgraphs of pairs to the logit of "one identity".

    A pair's answer does not depend on the other pairs of a call, nor on the order of its ends.
    """

    def __init__(self, shape: GcnShape) -> None:
        """Build the network.

        Raises:
            ValueError: SortPooling keeps too few nodes for the second convolution.
        """
        super().__init__(shape)
        if shape.sort_k // 2 < _WINDOW:
            raise ValueError(f"sort_k is {shape.sort_k}; it must be at least {2 * _WINDOW}.")
        widths = (*shape.hidden, 1)
        # The first product, of node features and weights, is split: label part and feature part.
        self.label = nn.Embedding(DRNL_CLASSES, widths[0])
        self.feature = _map(shape.inputs, widths[0])
        nn.init.xavier_uniform_(self.label.weight)
        self.convs = nn.ModuleList(_map(a, b) for a, b in pairwise(widths))
        self.node = nn.Linear(sum(widths), shape.conv[0])
        self.window = nn.Linear(_WINDOW * shape.conv[0], shape.conv[1])
        self.classify = nn.Sequential(
            nn.Linear(shape.conv[1], shape.mlp),
            nn.ReLU(inplace=True),
            nn.Dropout(shape.dropout),
            nn.Linear(shape.mlp, 2),
        )

    def project(self, features: Tensor) -> Tensor:
        """Return the widest product, features times first weights: once per memory row.

        Args:
            features: (..., F).
        """
        return self.feature(features)

    def forward(self, graphs: PairGraphs, projected: Tensor) -> Tensor:
        """Return the logit of "the same identity" against "different ones".

        (A + I) X W = (A + I) (X W), so X W comes from outside.

        Args:
            graphs: subgraphs of P pairs.
            projected: (P, S, H), `project` of the features of every slot.

        Returns:
            (P,), p = sigmoid(logit).
        """
        propagation = graphs.propagation()
        hidden = torch.tanh(propagation @ (projected + self.label(graphs.labels)))
        layers = [hidden]
        for conv in self.convs:
            # The last layer is one column wide: mapping first is the cheaper order everywhere.
            layers.append(torch.tanh(propagation @ conv(layers[-1])))
        nodes = torch.cat(layers, dim=2)
        kept = sort_pool(nodes, graphs.valid, self.shape.sort_k)
        return self._read_out(kept)

    def _read_out(self, nodes: Tensor) -> Tensor:
        """Map sorted nodes (P, k, C) to logits (P,)."""
        x = F.relu(self.node(nodes))
        count, k, channels = x.shape
        x = x[:, : k // 2 * 2].reshape(count, k // 2, 2, channels).amax(dim=2)
        windows = x.unfold(1, _WINDOW, 1).transpose(2, 3).flatten(2)
        logits = self.classify(F.relu(self.window(windows)).amax(dim=1))
        return logits[:, 1] - logits[:, 0]


def _map(inputs: int, outputs: int) -> nn.Linear:
    """Return the weights of a graph convolution: no bias, Glorot's range for tanh."""
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.xavier_uniform_(linear.weight)
    return linear


def sort_pool(nodes: Tensor, valid: Tensor, k: int) -> Tensor:
    """Keep the k nodes with the largest last channel, in descending order.

    Where a graph has fewer, zeros follow; so the result does not depend on other graphs.

    Args:
        nodes: (P, S, C).
        valid: bool (P, S), nodes in use.
        k: nodes to keep.

    Returns:
        (P, k, C).
    """
    key = nodes[:, :, -1].detach().masked_fill(~valid, float("-inf"))
    order = key.argsort(dim=1, descending=True, stable=True)[:, :k]
    kept = nodes.gather(1, order[:, :, None].expand(-1, -1, nodes.shape[2]))
    kept = kept * valid.gather(1, order)[:, :, None]
    return F.pad(kept, (0, 0, 0, k - order.shape[1]))
