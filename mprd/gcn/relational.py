"""What the relation GCN may know of an epoch: memory, neighbours, Jaccard distances, cameras.

Raw node features are rows of the memory: what an image looks like. Relational ones say only what
a node is to the two ends of the pair, so that what is learnt on some images holds for others.

Embeddings of one camera lie together, whoever is shown. Two features therefore compare within
cameras: the cosine around the camera means, and the rank of an image among those of its camera.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array
from torch import Tensor

from mprd.gcn.pair_graphs import PairGraphs, pair_graphs

# A camera rank is counted at these ranks: fine where it matters, of constant size for any N.
_LEVELS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128)
_PER_END = 8
RELATIONAL_FEATURES = 3 * _PER_END
_ROUNDING = 1e-5  # an image is not nearer than itself, however its cosine is computed
_BLOCK_ELEMENTS = 2**24
_BLOCK_PAIRS = 1024


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each node feature, float32 (F,)."""

    mean: Tensor
    std: Tensor


class EpochContext:
    """The images of one epoch, as the GCN sees them.

    Attributes:
        memory: float32 (N, D), unit rows; shared with the training loop, which changes it.
        neighbors: int64 (N, K), nearest rows, without the row itself.
        cameras: int64 (N,), 0..C-1; unknown cameras count as one camera of their own.
    """

    def __init__(
        self,
        memory: Tensor,
        neighbors: np.ndarray,
        distance: csr_array,
        cameras: np.ndarray,
        star: int,
    ) -> None:
        """Take over the graph of the epoch.

        Args:
            memory: float32 (N, D), unit rows; kept, not copied.
            neighbors: int32 (N, 1 + K), the row itself first (`graph.h5`).
            distance: (N, N), Jaccard distances; what is not stored counts as distance 1.
            cameras: int (N,), -1 unknown.
            star: neighbours that join an end in a subgraph.
        """
        device = memory.device
        self.memory = memory
        self.neighbors = torch.from_numpy(neighbors[:, 1:].astype(np.int64)).to(device)
        self.star = self.neighbors[:, :star]
        rows = np.repeat(np.arange(len(neighbors)), np.diff(distance.indptr))
        keys = rows.astype(np.int64) * len(neighbors) + distance.indices
        self._keys = torch.from_numpy(keys).to(device)
        self._jaccard = torch.from_numpy(1 - distance.data).float().to(device)
        self._width = len(neighbors)
        _, dense = np.unique(cameras, return_inverse=True)
        self.cameras = torch.from_numpy(dense.astype(np.int64)).to(device)
        self._known = torch.from_numpy(cameras >= 0).to(device)
        self._means = _group_means(memory, self.cameras)
        self._between_means = self._means @ self._means.T
        self._to_means = memory @ self._means.T
        self._norms = self._centred_norms(slice(None))
        self._profile = self._camera_profile(memory, self.cameras, 0)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.memory)

    def refresh(self, rows: Tensor | slice) -> None:
        """Take note that these rows of the memory have changed; camera ranks stay the epoch's."""
        self._to_means[rows] = self.memory[rows] @ self._means.T
        self._norms[rows] = self._centred_norms(rows)

    def extended(self, features: Tensor, origin: Tensor) -> "EpochContext":
        """Return a context with more images behind: augmented views, as nodes of their own.

        A view has its own embedding, neighbours among the images and camera ranks. It has no
        Jaccard distance to anything, alike for all views, and the camera of its image.

        Args:
            features: float32 (m, D), unit rows.
            origin: int64 (m,), row of the image that each view shows.
        """
        other = copy.copy(self)
        near = features @ self.memory.T
        views = near.topk(self.neighbors.shape[1], dim=1).indices
        other.neighbors = torch.cat([self.neighbors, views])
        other.star = other.neighbors[:, : self.star.shape[1]]
        other._profile = torch.cat(
            [self._profile, self._camera_profile(features, self.cameras[origin], None)]
        )
        other.memory = torch.cat([self.memory, features])
        other.cameras = torch.cat([self.cameras, self.cameras[origin]])
        other._known = torch.cat([self._known, self._known[origin]])
        other._to_means = other.memory @ self._means.T
        other._norms = other._centred_norms(slice(None))
        return other

    def graphs(self, pairs: Tensor) -> PairGraphs:
        """Return the subgraphs of pairs, int64 (P, 2)."""
        return pair_graphs(pairs, self.star)

    def node_features(self, graphs: PairGraphs) -> Tensor:
        """Return the relational features of every slot, not scaled; 0 in unused slots.

        A pair and its mirror image give the same features. Per node, to its own end and then to
        the other: cosine, cosine around the camera means, Jaccard similarity, rank in the end's
        neighbour list and the reverse (1 / (1 + rank), 0 = not in it), same (known) camera, rank
        from the end among the images of the node's camera and the reverse (in levels). A node
        of both stars has the larger and the smaller value. Then the same of the pair itself.

        Args:
            graphs: subgraphs of P pairs.

        Returns:
            float32 (P, S, 24).
        """
        ends = graphs.nodes[:, :2]
        cosine = self.memory[graphs.nodes] @ self.memory[ends].transpose(1, 2)
        to_first, to_second = (
            self._to_end(graphs.nodes, ends[:, end], cosine[:, :, end]) for end in (0, 1)
        )
        owned = graphs.second.clone()
        owned[:, 1] = True
        own = torch.where(owned[:, :, None], to_second, to_first)
        other = torch.where(owned[:, :, None], to_first, to_second)
        shared = (graphs.first & graphs.second)[:, :, None]
        own, other = (
            torch.where(shared, torch.maximum(to_first, to_second), own),
            torch.where(shared, torch.minimum(to_first, to_second), other),
        )
        # Of the pair, j seen from i: reversed ranks are those of i seen from j.
        pair = to_first[:, 1]
        mirrored = to_second[:, 0]
        both = [torch.maximum(pair, mirrored), torch.minimum(pair, mirrored)]
        symmetric = torch.cat([both[0][:, [0, 1, 2, 3, 5, 6]], both[1][:, [3, 6]]], dim=1)
        spread = symmetric[:, None, :].expand(-1, graphs.nodes.shape[1], -1)
        return torch.cat([own, other, spread], dim=2) * graphs.valid[:, :, None]

    def scaling(self, pairs: Tensor) -> Scaling:
        """Return mean and deviation of the node features over the subgraphs of some pairs."""
        if not len(pairs):
            zero = torch.zeros(RELATIONAL_FEATURES, device=self.memory.device)
            return Scaling(zero, zero + 1)
        blocks = []
        for block in pairs.split(_BLOCK_PAIRS):
            graphs = self.graphs(block)
            blocks.append(self.node_features(graphs)[graphs.valid])
        values = torch.cat(blocks).double()
        std = values.std(dim=0, unbiased=False)
        return Scaling(values.mean(dim=0).float(), std.clamp_min(1e-3).float())

    def jaccard(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return 1 - Jaccard distance of the pairs, 0 where none is stored."""
        if not len(self._keys):
            return torch.zeros(rows.shape, device=self.memory.device)
        keys = rows * self._width + columns
        place = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
        stored = (self._keys[place] == keys) & (columns < self._width)
        return torch.where(stored, self._jaccard[place], 0.0)

    def camera_level(self, rows: Tensor, columns: Tensor, centred: Tensor | None = None) -> Tensor:
        """Return at how many levels images of the column's camera are nearer to the row.

        0: the nearest of its camera, 1: the second, ...; the levels are those of the epoch's start.

        Args:
            rows: int64, any shape.
            columns: int64, the same shape.
            centred: `centred_cosine` of them, if known.
        """
        if centred is None:
            centred = self.centred_cosine(rows, columns)
        levels = self._profile[rows, self.cameras[columns]]
        return (levels > centred[..., None] + _ROUNDING).sum(dim=-1).float()

    def centred_cosine(self, rows: Tensor, columns: Tensor, cosine: Tensor | None = None) -> Tensor:
        """Return the cosine of the embeddings less the means of their cameras.

        Args:
            rows: int64, any shape.
            columns: int64, the same shape.
            cosine: their plain cosine, if known.
        """
        if cosine is None:
            cosine = (self.memory[rows] * self.memory[columns]).sum(dim=-1)
        a, b = self.cameras[rows], self.cameras[columns]
        product = cosine - self._to_means[rows, b] - self._to_means[columns, a]
        product = product + self._between_means[a, b]
        return (product / (self._norms[rows] * self._norms[columns])).clamp(-1, 1)

    def same_camera(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Tell which pairs are of one known camera."""
        return (self.cameras[rows] == self.cameras[columns]) & self._known[rows]

    def mutual(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Tell which pairs stand in each other's neighbour lists."""
        forth = (self.neighbors[rows] == columns[..., None]).any(dim=-1)
        return forth & (self.neighbors[columns] == rows[..., None]).any(dim=-1)

    @staticmethod
    def level_of(rank: int) -> int:
        """Return the camera level of an image at a rank (1-based) within its camera."""
        return sum(level < rank for level in _LEVELS)

    def _to_end(self, nodes: Tensor, end: Tensor, cosine: Tensor) -> Tensor:
        """Return the eight features of nodes (P, S) to one end (P,) as (P, S, 8)."""
        end = end[:, None].expand_as(nodes)
        centred = self.centred_cosine(nodes, end, cosine)
        return torch.stack(
            [
                cosine,
                centred,
                self.jaccard(nodes, end),
                self._closeness(end, nodes),
                self._closeness(nodes, end),
                self.same_camera(nodes, end).float(),
                self.camera_level(end, nodes, centred),
                self.camera_level(nodes, end, centred),
            ],
            dim=2,
        )

    def _closeness(self, owner: Tensor, member: Tensor) -> Tensor:
        """Return 1 / (1 + rank) of a member in its owner's neighbour list; 0 if not in it."""
        weight = 1 / torch.arange(1, self.neighbors.shape[1] + 1, device=owner.device)
        return ((self.neighbors[owner] == member[..., None]) * weight).sum(dim=-1)

    def _centred_norms(self, rows: Tensor | slice) -> Tensor:
        camera = self.cameras[rows]
        own = self._to_means[rows].gather(1, camera[:, None])[:, 0]
        squared = (self.memory[rows] ** 2).sum(dim=1) - 2 * own
        squared = squared + self._between_means[camera, camera]
        return squared.clamp_min(1e-12).sqrt()

    def _camera_profile(self, features: Tensor, cameras: Tensor, first: int | None) -> Tensor:
        """Return the centred cosine at each level of every camera's images.

        Args:
            features: (m, D), the images that look.
            cameras: (m,), their cameras.
            first: row of the first of them in the memory, whose own entry is left out;
                None: they are not in it.

        Returns:
            (m, C, L); -2 where a camera has fewer images.
        """
        memory = F.normalize(self.memory - self._means[self.cameras], dim=1)
        looking = F.normalize(features - self._means[cameras], dim=1)
        profile = memory.new_full((len(features), len(self._means), len(_LEVELS)), -2.0)
        ranks = torch.tensor(_LEVELS, device=memory.device) - 1
        order = torch.argsort(self.cameras, stable=True)
        sizes = torch.bincount(self.cameras, minlength=len(self._means)).tolist()
        step = max(1, _BLOCK_ELEMENTS // len(memory))
        for start in range(0, len(features), step):
            product = looking[start : start + step] @ memory.T
            if first is not None:
                own = torch.arange(len(product), device=product.device)
                product[own, first + start + own] = -2.0
            for camera, columns in enumerate(order.split(sizes)):
                width = min(_LEVELS[-1], len(columns))
                best = product[:, columns].topk(width, dim=1).values
                inside = ranks < width
                profile[start : start + step, camera, inside] = best[:, ranks[inside]]
        return profile


def _group_means(values: Tensor, group: Tensor) -> Tensor:
    """Return the mean row of each group, (C, D)."""
    counts = torch.bincount(group)
    total = values.new_zeros(len(counts), values.shape[1]).index_add_(0, group, values)
    return total / counts[:, None]
