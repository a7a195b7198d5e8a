"""The relation network in the context of an epoch, and the tasks that it can learn from there."""

import numpy as np
import torch
from torch import Tensor

from mprd.artifacts import Artifact
from mprd.clustering.dbscan import dbscan
from mprd.clustering.graph_matrix import graph_distance
from mprd.clustering.tracks import TrackGroups
from mprd.config import ClusterConfig, GcnConfig
from mprd.gcn.context import RelationContext
from mprd.gcn.judge import Judge
from mprd.gcn.learning import TaskSource
from mprd.gcn.networks.registry import RelationNetwork
from mprd.gcn.pairs import PairSet, camera_pairs, doubtful_pairs, strict_pairs, view_pairs

_SCALING_PAIRS = 1024


class RelationTasks:
    """A relation network put into an epoch, and the pairs that it can learn from there.

    It differs from its parts: a `RelationContext` knows the images and no network, a `Judge`
    answers about any pairs, a `RelationFilter` uses the answers in training.

    Attributes:
        context: the images of the epoch.
        judge: the network in this context.
        doubtful: int64 (P, 2), pairs inside one cluster; of a track its first image only.
        sample: some of them, on which relational features are standardised.
    """

    def __init__(
        self,
        *,
        network: RelationNetwork,
        memory: Tensor,
        graph: Artifact,
        labels: Tensor,
        cameras: np.ndarray,
        settings: GcnConfig,
        generator: torch.Generator,
        keep_ranks: bool = False,
        ranks: Artifact | None = None,
        tracks: TrackGroups | None = None,
    ) -> None:
        """Set up an epoch.

        Args:
            network: on the device of `memory`.
            memory: float32 (N, D), unit rows, as at the start of the epoch; kept, not copied.
            graph: `graph.h5` of the epoch.
            labels: int64 (N,), pseudo-labels.
            cameras: int (N,), -1 unknown.
            settings: the `gcn` section.
            generator: on the CPU.
            keep_ranks: the memory will change, and ranks within cameras must not.
            ranks: `ranks.h5` of the epoch; None: all images are compared here.
            tracks: of the images; None: there are none. Pairs of tracks are doubtful, those inside
                a track are not.
        """
        self.settings, self.generator, self.labels = settings, generator, labels
        self._distance = graph_distance(graph)
        self.context = RelationContext.of_graph(
            memory=memory,
            neighbors=graph["neighbors"],
            distance=self._distance,
            cameras=cameras,
            star=settings.neighbors,
            aligned=graph.attributes["cameras"],
            keep_ranks=keep_ranks,
            profile=None if ranks is None else torch.from_numpy(ranks["cosine"]).to(memory.device),
            tracks=tracks,
        )
        self.doubtful = doubtful_pairs(labels, generator, tracks)
        order = torch.randperm(len(self.doubtful), generator=generator)
        self.sample = self.doubtful[order[:_SCALING_PAIRS].to(self.doubtful.device)]
        raw = network.shape.node_features == "raw"
        self._scaling = None if raw else self.context.scaling(self.sample)
        self.judge = Judge(network, self.context, self._scaling)

    def metadata_tasks(self, artifact: Artifact, features: np.ndarray, tasks: int) -> TaskSource:
        """Return the metadata pairs as a source of tasks.

        Args:
            artifact: `metadata.h5`.
            features: float32 (m, D), its nodes under the model of this epoch.
            tasks: how many tasks.
        """
        device = self.context.memory.device
        rows, pairs, same = (
            torch.from_numpy(artifact[key]).to(device) for key in ("row", "pairs", "same")
        )
        judge, nodes = self.judge, rows
        if artifact.attributes["source"] == "views":
            judge, nodes = self._with_views(rows, features)
        pairs = nodes[pairs]
        camera = judge.context.same_camera(*pairs.T)
        return TaskSource("metadata", judge, PairSet(pairs, same.bool(), camera), tasks)

    def unlabelled_tasks(self, cluster: ClusterConfig, eps: float, tasks: int) -> TaskSource:
        """Return the pairs found without labels (`cameras` and `strict`) as a source of tasks.

        Args:
            cluster: the `cluster` section.
            eps: radius that gave the labels.
            tasks: how many tasks.
        """
        settings = self.settings.unlabelled
        if settings.source == "cameras":
            pairs = camera_pairs(
                self.context,
                self.doubtful,
                positive_rank=settings.positive_rank,
                negative_rank=settings.negative_rank,
            )
        else:
            strict = dbscan(self._distance, settings.strict * eps, cluster.min_samples)
            labels = torch.from_numpy(strict).long().to(self.labels.device)
            pairs = strict_pairs(self.context, self.doubtful, labels)
        return TaskSource("unlabelled", self.judge, pairs, tasks)

    def view_tasks(self, rows: Tensor, features: np.ndarray, tasks: int) -> TaskSource:
        """Return images and their views (`source: views`) as a source of tasks.

        Args:
            rows: int64 (m,), images that got a view.
            features: float32 (m, D), embeddings of the views.
            tasks: how many tasks.
        """
        judge, _ = self._with_views(rows, features)
        return TaskSource("unlabelled", judge, view_pairs(judge.context, rows), tasks)

    def collected_tasks(self, pairs: Tensor, same: Tensor, tasks: int) -> TaskSource:
        """Return pairs judged in training as a source of tasks.

        Args:
            pairs: int64 (n, 2).
            same: bool (n,), the answers.
            tasks: how many tasks.
        """
        both = PairSet(pairs, same, self.context.same_camera(*pairs.T))
        return TaskSource("collected", self.judge, both, tasks)

    def rewind(self, features: np.ndarray) -> None:
        """Put the memory back to the embeddings that the epoch began with, float32 (N, D)."""
        self.context.memory.copy_(torch.from_numpy(features))
        self.context.refresh(slice(None))
        self.judge.forget()
        self.judge.scaling = self._scaling

    def _with_views(self, origin: Tensor, features: np.ndarray) -> tuple[Judge, Tensor]:
        """Return a judge whose context holds views too, and the nodes that the views are."""
        views = torch.from_numpy(features).to(self.context.memory.device)
        context = self.context.extended(views, origin)
        nodes = torch.arange(len(self.context), len(context), device=origin.device)
        return Judge(self.judge.network, context, self._scaling), nodes
