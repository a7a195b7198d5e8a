"""The images of one epoch as the relation GCN sees them, without any network."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from mprd.clustering.tracks import TrackGroups
from mprd.gcn.aligned import aligned_pair
from mprd.gcn.camera_frame import CameraFrame, inner_products
from mprd.gcn.camera_ranks import camera_profile, levels_above, own_profile
from mprd.gcn.node_features import RELATIONAL_FEATURES, ToEnd, relational_features
from mprd.gcn.subgraphs import PairGraphs, pair_graphs
from mprd.graph.cameras import CameraMethod
from mprd.system.csr import entry_rows

_BLOCK_PAIRS = 1024


class JaccardTable:
    """Jaccard similarities of the images of an epoch."""

    def __init__(self, distance: csr_array, device: torch.device) -> None:
        """Take over the distances of a graph.

        Args:
            distance: (N, N), column indices sorted; what is not stored counts as distance 1.
            device: where pairs are looked up.
        """
        self._count = distance.shape[0]
        rows = entry_rows(distance.indptr)
        keys = rows.astype(np.int64) * self._count + distance.indices
        self._keys = torch.from_numpy(keys).to(device)
        self._similarity = torch.from_numpy(1 - distance.data).float().to(device)

    def similarity(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return 1 - Jaccard distance of pairs, 0 where none is stored.

        Args:
            rows: int64, any shape.
            columns: int64, the same shape; nodes that are no image of the graph have none.
        """
        if not len(self._keys):
            return torch.zeros(rows.shape, device=self._keys.device)
        keys = rows * self._count + columns
        place = torch.searchsorted(self._keys, keys).clamp_(max=len(self._keys) - 1)
        stored = (self._keys[place] == keys) & (columns < self._count)
        return self._similarity[place] * stored


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each node feature, float32 (F,)."""

    mean: Tensor
    std: Tensor


@dataclass(frozen=True, kw_only=True)
class RelationContext:
    """What is known of the images of an epoch: embeddings, neighbours, distances, cameras.

    Attributes:
        memory: float32 (N, D), unit rows; shared with the training loop, which changes it.
        neighbors: int64 (N, K), nearest rows, without the row itself.
        star_size: neighbours that join an end in a subgraph.
        aligned: what was taken from the embeddings to find the neighbours (`graph.cameras`).
        jaccard_table: Jaccard similarities.
        frame: embeddings around the means of their cameras.
        listed: int64 (G,), the images that are ranked: the first of each track, any other image.
        profile: float32 (N, C, L), each image's ranking of the listed images of every camera.
        ranked: float32 (N, D), the centred embeddings whose ranks count; None: the memory's. A
            memory that is changed row by row mixes embeddings of many models and of augmented
            views; against a profile made before, the ranks of such rows would only fall.
    """

    memory: Tensor
    neighbors: Tensor
    star_size: int
    aligned: CameraMethod
    jaccard_table: JaccardTable
    frame: CameraFrame
    listed: Tensor
    profile: Tensor
    ranked: Tensor | None

    @classmethod
    def of_graph(
        cls,
        *,
        memory: Tensor,
        neighbors: np.ndarray,
        distance: csr_array,
        cameras: np.ndarray,
        star: int,
        aligned: CameraMethod = "none",
        keep_ranks: bool = False,
        profile: Tensor | None = None,
        tracks: TrackGroups | None = None,
    ) -> "RelationContext":
        """Return the context of an epoch's graph.

        Args:
            memory: float32 (N, D), unit rows; kept, not copied.
            neighbors: int32 (N, 1 + K), the row itself first (`graph.h5`).
            distance: (N, N), Jaccard distances; what is not stored counts as distance 1.
            cameras: int (N,), -1 unknown.
            star: neighbours that join an end in a subgraph.
            aligned: what was taken from the embeddings to find the neighbours.
            keep_ranks: ranks within cameras stay those of now, whatever the memory will be.
            profile: float32 (N, C, L), of `ranks.h5`; None: all images are compared here.
            tracks: of the images; None: there are none.
        """
        frame = CameraFrame.of_images(memory, cameras)
        centred = frame.centred(memory, frame.cameras)
        if tracks is None:
            tracks = TrackGroups.of_tracks(np.full(len(cameras), -1))
        if profile is None:
            profile = own_profile(centred, frame.cameras, tracks)
        return cls(
            memory=memory,
            neighbors=torch.from_numpy(neighbors[:, 1:].astype(np.int64)).to(memory.device),
            star_size=star,
            aligned=aligned,
            jaccard_table=JaccardTable(distance, memory.device),
            frame=frame,
            listed=torch.from_numpy(tracks.first).to(memory.device),
            profile=profile,
            ranked=centred if keep_ranks else None,
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.memory)

    def refresh(self, rows: Tensor | slice) -> None:
        """Take note that these rows of the memory have changed."""
        self.frame.refresh(self.memory, rows)

    def extended(self, features: Tensor, origin: Tensor) -> "RelationContext":
        """Return a context with more images behind: augmented views, as nodes of their own.

        A view has its own embedding, neighbours among the images and ranks within cameras, all as
        of now. It has no Jaccard distance to anything, alike for all views, and the camera of its
        image.

        Args:
            features: float32 (m, D), unit rows.
            origin: int64 (m,), row of the image that each view shows.
        """
        cameras = self.frame.cameras
        seen = self.frame.centred(self.memory[self.listed], cameras[self.listed])
        looking = self.frame.centred(features, cameras[origin])
        nearest = self._similarity(features, origin).topk(self.neighbors.shape[1], dim=1).indices
        count = len(self.frame.means)
        profile = camera_profile(looking, seen, cameras[self.listed], count, None)
        memory = torch.cat([self.memory, features])
        return RelationContext(
            memory=memory,
            neighbors=torch.cat([self.neighbors, nearest]),
            star_size=self.star_size,
            aligned=self.aligned,
            jaccard_table=self.jaccard_table,
            frame=self.frame.extended(memory, origin),
            listed=self.listed,
            profile=torch.cat([self.profile, profile]),
            ranked=None,
        )

    def graphs(self, pairs: Tensor) -> PairGraphs:
        """Return the subgraphs of pairs, int64 (P, 2)."""
        return pair_graphs(pairs, self.neighbors[:, : self.star_size])

    def node_features(self, graphs: PairGraphs) -> Tensor:
        """Return the relational features of every slot, not scaled; 0 in unused slots.

        A pair and its mirror image give the same features (see `relational_features`).

        Args:
            graphs: subgraphs of P pairs.

        Returns:
            float32 (P, S, 24).
        """
        nodes, ends = graphs.nodes, graphs.nodes[:, :2]
        cosine = _products(self.memory, nodes, ends)
        ranked = None if self.ranked is None else _products(self.ranked, nodes, ends)
        to_first, to_second = (
            self._to_end(
                nodes, ends[:, n], cosine[:, :, n], None if ranked is None else ranked[:, :, n]
            )
            for n in (0, 1)
        )
        features = relational_features(to_first, to_second, graphs.first, graphs.second)
        return features * graphs.valid[:, :, None]

    def scaling(self, pairs: Tensor) -> Scaling:
        """Return mean and deviation of the node features over the subgraphs of some pairs."""
        if not len(pairs):
            zero = torch.zeros(RELATIONAL_FEATURES, device=self.memory.device)
            return Scaling(zero, zero + 1)
        # Unused slots are 0 and not counted: to choose the others, the device would have to wait.
        graphs = [self.graphs(block) for block in pairs.split(_BLOCK_PAIRS)]
        values = torch.cat([self.node_features(g).flatten(0, 1) for g in graphs]).double()
        used = torch.cat([g.valid.flatten() for g in graphs])[:, None]
        mean = values.sum(dim=0) / used.sum()
        std = (((values - mean) * used).square().sum(dim=0) / used.sum()).sqrt()
        return Scaling(mean.float(), std.clamp_min(1e-3).float())

    def jaccard(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Return 1 - Jaccard distance of pairs, 0 where none is stored."""
        return self.jaccard_table.similarity(rows, columns)

    def camera_level(self, rows: Tensor, columns: Tensor, centred: Tensor | None = None) -> Tensor:
        """Return at how many levels images of the column's camera are nearer to the row.

        0: the nearest of its camera, 1: the second, ...

        Args:
            rows: int64, any shape.
            columns: int64, the same shape.
            centred: cosine around the camera means that is to be ranked, if known.
        """
        if centred is None and self.ranked is not None:
            centred = inner_products(self.ranked, rows, columns)
        if centred is None:
            centred = self.centred_cosine(rows, columns)
        return levels_above(self.profile[rows, self.frame.cameras[columns]], centred)

    def centred_cosine(self, rows: Tensor, columns: Tensor, cosine: Tensor | None = None) -> Tensor:
        """Return the cosine of the embeddings less the means of their cameras.

        Args:
            rows: int64, any shape.
            columns: int64, the same shape.
            cosine: their plain cosine, if known.
        """
        if cosine is None:
            cosine = inner_products(self.memory, rows, columns)
        return self.frame.cosine(rows, columns, cosine)

    def same_camera(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Tell which pairs are of one known camera."""
        return self.frame.same(rows, columns)

    def mutual(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Tell which pairs stand in each other's neighbour lists."""
        forth = (self.neighbors[rows] == columns[..., None]).any(dim=-1)
        return forth & (self.neighbors[columns] == rows[..., None]).any(dim=-1)

    def _to_end(self, nodes: Tensor, end: Tensor, cosine: Tensor, ranked: Tensor | None) -> Tensor:
        """Return what nodes (P, S) are to one end (P,), columns `ToEnd`, (P, S, 8)."""
        end = end[:, None].expand_as(nodes)
        centred = self.centred_cosine(nodes, end, cosine)
        ranked = centred if ranked is None else ranked
        values = {
            ToEnd.COSINE: cosine,
            ToEnd.CENTRED_COSINE: centred,
            ToEnd.JACCARD: self.jaccard(nodes, end),
            ToEnd.CLOSENESS_FROM_END: self._closeness(end, nodes),
            ToEnd.CLOSENESS_TO_END: self._closeness(nodes, end),
            ToEnd.SAME_CAMERA: self.same_camera(nodes, end).float(),
            ToEnd.CAMERA_LEVEL_FROM_END: self.camera_level(end, nodes, ranked),
            ToEnd.CAMERA_LEVEL_TO_END: self.camera_level(nodes, end, ranked),
        }
        return torch.stack([values[column] for column in ToEnd], dim=2)

    def _similarity(self, features: Tensor, origin: Tensor) -> Tensor:
        """Return cosines of other embeddings (m, D) with all images, aligned as the graph's."""
        if self.aligned == "none":
            return features @ self.memory.T
        cameras, standardize = self.frame.cameras, self.aligned == "standardize"
        sizes = torch.bincount(cameras).tolist()
        seen, looking = aligned_pair(
            self.memory, cameras, sizes, features, cameras[origin], standardize=standardize
        )
        return looking @ seen.T

    def _closeness(self, owner: Tensor, member: Tensor) -> Tensor:
        """Return 1 / (1 + rank) of a member in its owner's neighbour list; 0 if not in it."""
        weight = 1 / torch.arange(1, self.neighbors.shape[1] + 1, device=owner.device)
        return ((self.neighbors[owner] == member[..., None]) * weight).sum(dim=-1)


def _products(features: Tensor, nodes: Tensor, ends: Tensor) -> Tensor:
    """Return the inner products of nodes (P, S) and ends (P, 2), (P, S, 2)."""
    return features[nodes] @ features[ends].transpose(1, 2)
