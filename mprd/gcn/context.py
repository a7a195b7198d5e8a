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

from mprd.gcn.camera_ranks import camera_profile, levels_above
from mprd.gcn.subgraphs import PairGraphs, pair_graphs

_PER_END = 8
RELATIONAL_FEATURES = 3 * _PER_END
_BLOCK_PAIRS = 1024
_BLOCK_ROWS = 2**14


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
        centred: bool = False,
    ) -> None:
        """Take over the graph of the epoch.

        Args:
            memory: float32 (N, D), unit rows; kept, not copied.
            neighbors: int32 (N, 1 + K), the row itself first (`graph.h5`).
            distance: (N, N), Jaccard distances; what is not stored counts as distance 1.
            cameras: int (N,), -1 unknown.
            star: neighbours that join an end in a subgraph.
            centred: the neighbours were found around the camera means (`graph.center_cameras`).
        """
        device = memory.device
        self.memory = memory
        self.neighbors = torch.from_numpy(neighbors[:, 1:].astype(np.int64)).to(device)
        self.star = self.neighbors[:, :star]
        rows = np.repeat(np.arange(len(neighbors)), np.diff(distance.indptr))
        keys = rows.astype(np.int64) * len(neighbors) + distance.indices
        self._keys = torch.from_numpy(keys).to(device)
        self._jaccard = torch.from_numpy(1 - distance.data).float().to(device)
        self._width, self._centred_lists = len(neighbors), centred
        _, dense = np.unique(cameras, return_inverse=True)
        self.cameras = torch.from_numpy(dense.astype(np.int64)).to(device)
        self._known = torch.from_numpy(cameras >= 0).to(device)
        self._means = _group_means(memory, self.cameras)
        self._between_means = self._means @ self._means.T
        self._to_means = memory @ self._means.T
        self._norms = self._centred_norms(slice(None))
        self._start: Tensor | None = None  # centred embeddings of the start, once they differ
        self._profile = self._profile_of(memory, self.cameras, 0)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.memory)

    def freeze_ranks(self) -> None:
        """Keep the camera ranks of now, whatever the memory will be.

        A memory that is changed row by row mixes embeddings of many models and of augmented
        views. Ranks between such rows and a table made before would only fall.
        """
        self._start = self._centred(self.memory, self.cameras)

    def refresh(self, rows: Tensor | slice) -> None:
        """Take note that these rows of the memory have changed."""
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
        looking, seen = features, self.memory
        if self._centred_lists:
            looking = self._centred(features, self.cameras[origin])
            seen = self._centred(self.memory, self.cameras)
        views = (looking @ seen.T).topk(self.neighbors.shape[1], dim=1).indices
        other.neighbors = torch.cat([self.neighbors, views])
        other.star = other.neighbors[:, : self.star.shape[1]]
        other._profile = torch.cat(
            [self._profile, self._profile_of(features, self.cameras[origin], None)]
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
        nodes, ends = graphs.nodes, graphs.nodes[:, :2]
        cosine = _products(self.memory, nodes, ends)
        ranked = None if self._start is None else _products(self._start, nodes, ends)
        to_first, to_second = (
            self._to_end(
                nodes, ends[:, n], cosine[:, :, n], None if ranked is None else ranked[:, :, n]
            )
            for n in (0, 1)
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

        0: the nearest of its camera, 1: the second, ...; after `freeze_ranks` those of that time.

        Args:
            rows: int64, any shape.
            columns: int64, the same shape.
            centred: cosine around the camera means that is to be ranked, if known.
        """
        if centred is None and self._start is not None:
            centred = _inner(self._start, rows, columns)
        if centred is None:
            centred = self.centred_cosine(rows, columns)
        return levels_above(self._profile[rows, self.cameras[columns]], centred)

    def centred_cosine(self, rows: Tensor, columns: Tensor, cosine: Tensor | None = None) -> Tensor:
        """Return the cosine of the embeddings less the means of their cameras.

        Args:
            rows: int64, any shape.
            columns: int64, the same shape.
            cosine: their plain cosine, if known.
        """
        if cosine is None:
            cosine = _inner(self.memory, rows, columns)
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

    def _to_end(self, nodes: Tensor, end: Tensor, cosine: Tensor, ranked: Tensor | None) -> Tensor:
        """Return the eight features of nodes (P, S) to one end (P,) as (P, S, 8)."""
        end = end[:, None].expand_as(nodes)
        centred = self.centred_cosine(nodes, end, cosine)
        ranked = centred if ranked is None else ranked
        return torch.stack(
            [
                cosine,
                centred,
                self.jaccard(nodes, end),
                self._closeness(end, nodes),
                self._closeness(nodes, end),
                self.same_camera(nodes, end).float(),
                self.camera_level(end, nodes, ranked),
                self.camera_level(nodes, end, ranked),
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

    def _centred(self, features: Tensor, cameras: Tensor) -> Tensor:
        """Return features less their camera's mean, normalised, (m, D)."""
        return F.normalize(features - self._means[cameras], dim=1)

    def _profile_of(self, features: Tensor, cameras: Tensor, first: int | None) -> Tensor:
        looking = self._centred(features, cameras)
        seen = self._centred(self.memory, self.cameras)
        return camera_profile(looking, seen, self.cameras, first)


def _inner(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the inner products of rows with columns, in blocks: P gathered rows are large."""
    flat = zip(rows.flatten().split(_BLOCK_ROWS), columns.flatten().split(_BLOCK_ROWS), strict=True)
    parts = [(features[a] * features[b]).sum(dim=-1) for a, b in flat]
    return torch.cat(parts).reshape(rows.shape) if parts else features.new_zeros(rows.shape)


def _products(features: Tensor, nodes: Tensor, ends: Tensor) -> Tensor:
    """Return the inner products of nodes (P, S) and ends (P, 2), (P, S, 2)."""
    return features[nodes] @ features[ends].transpose(1, 2)


def _group_means(values: Tensor, group: Tensor) -> Tensor:
    """Return the mean row of each group, (C, D); 0 for a group of one, which has no other."""
    counts = torch.bincount(group)
    total = values.new_zeros(len(counts), values.shape[1]).index_add_(0, group, values)
    return total / counts[:, None] * (counts > 1)[:, None]
