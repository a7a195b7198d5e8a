"""Ask the relation GCN about pairs: canonical order, blocks of fixed size, cached products."""

import torch
from torch import Tensor

from mprd.gcn.context import RelationContext, Scaling
from mprd.gcn.networks.registry import RelationNetwork
from mprd.pairs.pair_list import canonical
from mprd.system import group

_BLOCK = 256


class Judge:
    """A relation network in the context of one epoch: it answers questions about pairs."""

    def __init__(
        self, network: RelationNetwork, context: RelationContext, scaling: Scaling | None
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
            projected = self.network.project(self.context.memory[rows])
            # Not `projected[inverse]`: its backward adds in an order that changes from run to run.
            spread = projected.index_select(0, inverse.flatten()).unflatten(0, inverse.shape)
            return self.network(graphs, spread)
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

    def shared_probability(self, pairs: Tensor) -> Tensor:
        """Return p(i, j) of pairs, as `probability`; a group shares the work.

        To be called in all processes of a group, with the same pairs.
        """
        own = pairs[group.share(len(pairs), _BLOCK)]
        return group.gather(self.probability(own), len(pairs), _BLOCK)

    def refresh(self, rows: Tensor) -> None:
        """Take note that rows of the memory have changed."""
        self.context.refresh(rows)
        if self._projected is not None:
            with torch.no_grad():
                self._projected[rows] = self.network.project(self.context.memory[rows])

    def rescale(self, pairs: Tensor) -> None:
        """Standardise relational features anew, on the memory of now.

        Args:
            pairs: int64 (P, 2), on whose subgraphs; raw features are not scaled.
        """
        if self.scaling is not None:
            self.scaling = self.context.scaling(pairs)

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
