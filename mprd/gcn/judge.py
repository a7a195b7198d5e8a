"""Ask the relation GCN about pairs: canonical order, blocks of fixed size, cached products."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mprd.gcn.context import RelationContext, Scaling
from mprd.gcn.networks.registry import GcnShape, RelationNetwork
from mprd.gcn.subgraphs import PairGraphs
from mprd.pairs.pair_list import canonical
from mprd.system import group

_BLOCK = 256  # pairs that are judged at once on a CPU, and that processes share out
_CARD_BLOCK = 8192  # the most on a GPU, where it takes thousands to fill the card


@dataclass(frozen=True)
class Questions:
    """What a relation network is told of P pairs; its weights change nothing here.

    Attributes:
        graphs: subgraphs of the pairs.
        features: float32 (P, S, F), standardised relational features of every slot; None: a slot's
            features are its memory row, (P, S, D) when it is read.
    """

    graphs: PairGraphs
    features: Tensor | None

    @classmethod
    def join(cls, parts: Sequence["Questions"]) -> "Questions":
        """Return the questions of all parts, at least one, as one."""
        features = [part.features for part in parts if part.features is not None]
        graphs = PairGraphs.join([part.graphs for part in parts])
        return cls(graphs, torch.cat(features) if features else None)

    def split(self, size: int) -> list["Questions"]:
        """Return the questions in parts of a size; the last part may be smaller."""
        graphs = self.graphs.split(size)
        if self.features is None:
            return [Questions(part, None) for part in graphs]
        features = self.features.split(size)
        return [Questions(*part) for part in zip(graphs, features, strict=True)]


class Judge:
    """A relation network in the context of one epoch: it answers questions about pairs.

    No answer makes the host wait for a GPU.
    """

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
        # Fewer products on a CPU; a GPU would wait to learn how many rows there are.
        self._distinct = not context.memory.is_cuda
        slots = 2 + 2 * context.star_size
        self._most = block_pairs(context.memory, slots, network.shape)

    def questions(self, pairs: Tensor) -> Questions:
        """Return what the network is told of pairs, int64 (P, 2), i != j; made block by block."""
        blocks = canonical(pairs).split(self._most)
        return Questions.join([self._question(block) for block in blocks])

    def answer(self, questions: Questions) -> Tensor:
        """Return logits (P,), differentiable in the network's weights."""
        graphs, features = questions.graphs, questions.features
        if features is not None:
            return self.network(graphs, self.network.project(features))
        if not self._distinct:
            return self.network(graphs, self.network.project(self.context.memory[graphs.nodes]))
        rows, inverse = torch.unique(graphs.nodes, return_inverse=True)
        projected = self.network.project(self.context.memory[rows])
        # Not `projected[inverse]`: its backward adds in an order that changes from run to run.
        spread = projected.index_select(0, inverse.flatten()).unflatten(0, inverse.shape)
        return self.network(graphs, spread)

    def logits(self, pairs: Tensor) -> Tensor:
        """Return logits of pairs, differentiable in the network's weights.

        Args:
            pairs: int64 (P, 2), i != j.

        Returns:
            (P,).
        """
        return self.answer(self._question(canonical(pairs)))

    @torch.no_grad()
    def probability(self, pairs: Tensor) -> Tensor:
        """Return p(i, j) of pairs, in eval mode.

        Blocks have one size, filled up where needed, so that on a CPU a pair's answer is the same
        alone or among others. On a GPU large blocks are larger, and answers differ by rounding.

        Args:
            pairs: int64 (P, 2), i != j.

        Returns:
            float32 (P,).
        """
        self.network.eval()
        size = min(self._most, -(-len(pairs) // _BLOCK) * _BLOCK) or _BLOCK
        parts = [self._block(block, size) for block in canonical(pairs).split(size)]
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

    def _question(self, pairs: Tensor) -> Questions:
        graphs = self.context.graphs(pairs)
        if self.scaling is None:
            return Questions(graphs, None)
        features = (self.context.node_features(graphs) - self.scaling.mean) / self.scaling.std
        return Questions(graphs, features * graphs.valid[:, :, None])

    def _block(self, pairs: Tensor, size: int) -> Tensor:
        count = len(pairs)
        if count == 0:
            return torch.empty(0, device=pairs.device)
        question = self._question(torch.cat([pairs, pairs[-1:].expand(size - count, 2)]))
        if question.features is not None:
            return torch.sigmoid(self.answer(question))[:count]
        if self._projected is None:
            self._projected = self.network.project(self.context.memory)
        graphs = question.graphs
        return torch.sigmoid(self.network(graphs, self._projected[graphs.nodes]))[:count]


def block_pairs(memory: Tensor, slots: int, shape: GcnShape) -> int:
    """Return how many pairs are judged at once: on a GPU as many as half of what is free can hold.

    Args:
        memory: float32 (N, D), of the epoch.
        slots: nodes of a subgraph.
        shape: of the network.
    """
    if not memory.is_cuda:
        return _BLOCK
    free, _ = torch.cuda.mem_get_info(memory.device)
    unused = torch.cuda.memory_reserved(memory.device) - torch.cuda.memory_allocated(memory.device)
    # Gathered rows, then the maps between the layers, of which eight live at once.
    one = 4 * slots * (2 * memory.shape[1] + 8 * max(*shape.hidden, *shape.conv))
    return int(min(max((free + unused) // 2 // one // _BLOCK, 1) * _BLOCK, _CARD_BLOCK))
