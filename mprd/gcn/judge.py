"""Ask the relation GCN about pairs: canonical order, blocks of fixed size, cached products."""

import torch
from torch import Tensor

from mprd.gcn.context import EpochContext, Scaling
from mprd.gcn.model import RelationGCN

_BLOCK = 256


class Judge:
    """A relation GCN in the surroundings of one epoch."""

    def __init__(
        self, network: RelationGCN, context: EpochContext, scaling: Scaling | None
    ) -> None:
        """Bind a network to an epoch.

        Args:
            network: on the device of the context's memory.
            context: the epoch's images.
            scaling: of relational node features; None for raw ones.
        """
        self.network, self.context, self.scaling = network, context, scaling
        self._projected: Tensor | None = None

    def logits(self, pairs: Tensor) -> Tensor:
        """Return logits of pairs, differentiable in the network's weights.

        Args:
            pairs: int64 (P, 2), i != j.

        Returns:
            (P,).
        """
        graphs = self.context.graphs(canonical(pairs))
        if self.scaling is None:
            rows, inverse = torch.unique(graphs.nodes, return_inverse=True)
            return self.network(graphs, self.network.project(self.context.memory[rows])[inverse])
        features = self.context.node_features(graphs)
        features = (features - self.scaling.mean) / self.scaling.std
        features = features * graphs.valid[:, :, None]
        return self.network(graphs, self.network.project(features))

    @torch.no_grad()
    def probability(self, pairs: Tensor) -> Tensor:
        """Return p(i, j) of pairs, in eval mode.

        Blocks have one size, filled up where needed, so that a pair's answer is the same alone
        or among others.

        Args:
            pairs: int64 (P, 2), i != j.

        Returns:
            float32 (P,).
        """
        self.network.eval()
        parts = [self._block(block) for block in canonical(pairs).split(_BLOCK)]
        return torch.cat(parts) if parts else torch.empty(0, device=pairs.device)

    def refresh(self, rows: Tensor) -> None:
        """Take note that rows of the memory have changed."""
        self.context.refresh(rows)
        if self._projected is not None:
            with torch.no_grad():
                self._projected[rows] = self.network.project(self.context.memory[rows])

    def forget(self) -> None:
        """Take note that the network's weights have changed."""
        self._projected = None

    def _block(self, pairs: Tensor) -> Tensor:
        count = len(pairs)
        if count == 0:
            return torch.empty(0, device=pairs.device)
        filled = torch.cat([pairs, pairs[-1:].expand(_BLOCK - count, 2)])
        if self.scaling is not None:
            return torch.sigmoid(self.logits(filled))[:count]
        if self._projected is None:
            self._projected = self.network.project(self.context.memory)
        graphs = self.context.graphs(filled)
        return torch.sigmoid(self.network(graphs, self._projected[graphs.nodes]))[:count]


def canonical(pairs: Tensor) -> Tensor:
    """Return pairs with the smaller row first, so that p(i, j) = p(j, i) to the last bit."""
    return torch.stack([pairs.amin(dim=1), pairs.amax(dim=1)], dim=1)
