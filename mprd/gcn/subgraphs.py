"""The enclosing subgraph of a pair: two stars, node labels, for thousands of pairs at once.

The subgraph of (i, j) joins i to its nearest images and j to its own; the link i-j itself, which
is to be predicted, is left out (SEAL: Zhang & Chen, Link Prediction Based on Graph Neural
Networks, NeurIPS 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch_geometric.data import Data

# Label 0: not reachable from one of the ends; 1: an end; 2: a neighbour of both ends.
DRNL_CLASSES = 3


@dataclass(frozen=True)
class PairGraphs:
    """The subgraphs of P pairs, padded to S = 2 + 2 k slots: i, j, neighbours of i, those of j.

    A neighbour of both ends takes its slot among those of i.

    Attributes:
        nodes: int64 (P, S), image row of each slot; 0 in unused slots.
        valid: bool (P, S), slots in use.
        first: bool (P, S), slots linked to i.
        second: bool (P, S), slots linked to j.
        labels: int64 (P, S), DRNL label.
    """

    nodes: Tensor
    valid: Tensor
    first: Tensor
    second: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.nodes)

    @classmethod
    def join(cls, parts: Sequence["PairGraphs"]) -> "PairGraphs":
        """Return the subgraphs of all parts, at least one, as one."""
        return cls(*(torch.cat([getattr(p, field.name) for p in parts]) for field in fields(cls)))

    def split(self, size: int) -> list["PairGraphs"]:
        """Return the subgraphs in parts of a size; the last part may be smaller."""
        columns = (getattr(self, field.name).split(size) for field in fields(self))
        return [PairGraphs(*part) for part in zip(*columns, strict=True)]

    def propagation(self) -> Tensor:
        """Return D^-1 (A + I) of every subgraph, float32 (P, S, S); rows of unused slots are 0."""
        count, slots = self.nodes.shape
        links = torch.zeros(count, slots, slots, device=self.nodes.device)
        links[:, 0], links[:, 1] = self.first.float(), self.second.float()
        links = links + links.transpose(1, 2) + torch.diag_embed(self.valid.float())
        return links / links.sum(dim=2, keepdim=True).clamp_min(1)

    def to_pyg(self, features: Tensor) -> "Data":
        """Return all subgraphs as one torch-geometric graph of separate parts.

        Args:
            features: (P, S, F), node features of every slot.

        Returns:
            Data with x (n, F), edge_index (both directions), drnl (n,), row (n,): image rows,
            and batch (n,): the pair that each node belongs to.
        """
        from torch_geometric.data import Data

        place = (self.valid.flatten().cumsum(0) - 1).reshape(self.valid.shape)
        links = []
        for end, link in enumerate((self.first, self.second)):
            pair, slot = link.nonzero(as_tuple=True)
            links.append(torch.stack([place[pair, end], place[pair, slot]]))
        edges = torch.cat(links, dim=1)
        return Data(
            x=features[self.valid],
            edge_index=torch.cat([edges, edges.flip(0)], dim=1),
            drnl=self.labels[self.valid],
            row=self.nodes[self.valid],
            batch=self.valid.nonzero()[:, 0],
        )


def check_pairs(pairs: Tensor, images: int) -> None:
    """Check pairs where they come in: a device waits for the answer, so no step asks again.

    Args:
        pairs: int64 (P, 2).
        images: rows that there are.

    Raises:
        ValueError: a row does not exist, or a pair joins a row to itself.
    """
    if not len(pairs):
        return
    if int(pairs.min()) < 0 or int(pairs.max()) >= images:
        raise ValueError(f"pairs name rows outside 0..{images - 1}.")
    if bool((pairs[:, 0] == pairs[:, 1]).any()):
        raise ValueError("a pair joins a row to itself.")


def pair_graphs(pairs: Tensor, neighbors: Tensor) -> PairGraphs:
    """Build the subgraphs of many pairs, without a wait for the device.

    Args:
        pairs: int64 (P, 2), rows i and j, i != j; see `check_pairs`.
        neighbors: int (N, k), nearest rows of each row, distinct; the row itself and -1 are
            passed over.

    Raises:
        ValueError: shapes do not fit.
    """
    if pairs.ndim != 2 or pairs.shape[1] != 2 or neighbors.ndim != 2:
        raise ValueError(
            f"pairs must be (P, 2) and neighbors (N, k), not {tuple(pairs.shape)} and "
            f"{tuple(neighbors.shape)}."
        )
    pairs = pairs.long()
    return star_graphs(pairs, neighbors[pairs[:, 0]], neighbors[pairs[:, 1]])


def star_graphs(pairs: Tensor, first: Tensor, second: Tensor) -> PairGraphs:
    """Build the subgraphs from the neighbours of each pair's own ends.

    Args:
        pairs: int64 (P, 2), rows i and j.
        first: int (P, k), nearest rows of i; as in `pair_graphs`.
        second: int (P, k), nearest rows of j.
    """
    first, second = first.long(), second.long()
    in_first, in_second = (
        (near >= 0) & (near != pairs[:, :1]) & (near != pairs[:, 1:]) for near in (first, second)
    )
    same = (first[:, :, None] == second[:, None, :]) & in_first[:, :, None]
    shared, repeated = same.any(dim=2) & in_first, same.any(dim=1) & in_second
    ends = torch.zeros_like(pairs, dtype=torch.bool)
    own = in_second & ~repeated
    nodes = torch.cat([pairs, first, second], dim=1)
    valid = torch.cat([~ends, in_first, own], dim=1)
    to_first = torch.cat([ends, in_first, torch.zeros_like(own)], dim=1)
    to_second = torch.cat([ends, shared, own], dim=1)
    # DRNL measures the distance to an end with the other end taken away. Of two stars nothing but
    # a shared neighbour (1, 1) then reaches both ends, and its label is 2.
    labels = torch.cat([~ends, torch.zeros_like(valid[:, 2:])], dim=1).long()
    labels = labels + 2 * (to_first & to_second)
    return PairGraphs(nodes * valid, valid, to_first, to_second, labels)
