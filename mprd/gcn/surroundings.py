"""Put a relation GCN into an epoch: its judge, and the pairs it learns from."""

import numpy as np
import torch
from torch import Tensor

from mprd.artifacts import Artifact
from mprd.clustering import dbscan, graph_distance
from mprd.config import ClusterConfig, GcnConfig
from mprd.gcn.context import EpochContext
from mprd.gcn.filter import RelationFilter
from mprd.gcn.judge import Judge
from mprd.gcn.learning import TaskSource
from mprd.gcn.model import RelationGCN
from mprd.gcn.pairs import PairSet, camera_pairs, doubtful_pairs, strict_pairs, view_pairs

_SCALING_PAIRS = 1024


class Surroundings:
    """An epoch as the relation GCN sees it, and what it can learn there.

    Attributes:
        context: the epoch's images.
        doubtful: int64 (P, 2), pairs inside one cluster.
        sample: some of them, on which relational features are standardised.
        judge: the network in this context.
    """

    def __init__(
        self,
        network: RelationGCN,
        memory: Tensor,
        graph: Artifact,
        labels: Tensor,
        cameras: np.ndarray,
        settings: GcnConfig,
        generator: torch.Generator,
    ) -> None:
        """Set up an epoch.

        Args:
            network: on the device of `memory`.
            memory: float32 (N, D), unit rows; kept, not copied.
            graph: `graph.h5` of the epoch.
            labels: int64 (N,), pseudo-labels.
            cameras: int (N,), -1 unknown.
            settings: the `gcn` section.
            generator: on the CPU.
        """
        self.network, self.settings, self.generator = network, settings, generator
        self.distance = graph_distance(graph)
        self.labels = labels
        self.context = EpochContext(
            memory,
            graph["neighbors"],
            self.distance,
            cameras,
            settings.neighbors,
            bool(graph.attributes["center_cameras"]),
        )
        self.doubtful = doubtful_pairs(labels, generator)
        order = torch.randperm(len(self.doubtful), generator=generator)
        self.sample = self.doubtful[order[:_SCALING_PAIRS].to(self.doubtful.device)]
        raw = network.shape.node_features == "raw"
        self.scaling = None if raw else self.context.scaling(self.sample)
        self.judge = Judge(network, self.context, self.scaling)

    def metadata(self, artifact: Artifact, features: np.ndarray, tasks: int) -> TaskSource:
        """Return the metadata pairs as a source of tasks.

        Args:
            artifact: `metadata.h5`.
            features: float32 (m, D), its nodes under the model of this epoch.
            tasks: how many tasks.
        """
        device = self.context.memory.device
        rows = torch.from_numpy(artifact["row"]).to(device)
        pairs = torch.from_numpy(artifact["pairs"]).to(device)
        same = torch.from_numpy(artifact["same"]).to(device).bool()
        context, judge, nodes = self.context, self.judge, rows
        if artifact.attributes["source"] == "views":
            context = context.extended(torch.from_numpy(features).to(device), rows)
            judge = Judge(self.network, context, self.scaling)
            nodes = torch.arange(len(self.context), len(context), device=device)
        pairs = nodes[pairs]
        return TaskSource(
            "metadata", judge, PairSet(pairs, same, context.same_camera(*pairs.T)), tasks
        )

    def unlabelled(self, cluster: ClusterConfig, eps: float, tasks: int) -> TaskSource:
        """Return the pairs found without labels (`cameras` and `strict`) as a source of tasks.

        Args:
            cluster: the `cluster` section.
            eps: radius that gave the labels.
            tasks: how many tasks.
        """
        settings = self.settings.unlabelled
        if settings.source == "cameras":
            pairs = camera_pairs(
                self.context, self.doubtful, settings.positive_rank, settings.negative_rank
            )
        else:
            strict = dbscan(self.distance, settings.strict * eps, cluster.min_samples)
            pairs = strict_pairs(
                self.context,
                self.doubtful,
                torch.from_numpy(strict).long().to(self.labels.device),
            )
        return TaskSource("unlabelled", self.judge, pairs, tasks)

    def views(self, rows: Tensor, features: np.ndarray, tasks: int) -> TaskSource:
        """Return images and their views (`source: views`) as a source of tasks.

        Args:
            rows: int64 (m,), images that got a view.
            features: float32 (m, D), embeddings of the views.
            tasks: how many tasks.
        """
        views = torch.from_numpy(features).to(self.context.memory.device)
        context = self.context.extended(views, rows)
        judge = Judge(self.network, context, self.scaling)
        return TaskSource("unlabelled", judge, view_pairs(context, rows), tasks)

    def collected(self, pairs: Tensor, same: Tensor, tasks: int) -> TaskSource:
        """Return pairs judged in training as a source of tasks.

        Args:
            pairs: int64 (n, 2).
            same: bool (n,), the answers.
            tasks: how many tasks.
        """
        both = PairSet(pairs, same, self.context.same_camera(*pairs.T))
        return TaskSource("collected", self.judge, both, tasks)

    def filter(self) -> RelationFilter:
        """Return the filter of the epoch's hard pairs; camera ranks stay as they are now."""
        self.context.freeze_ranks()
        return RelationFilter(self.judge, self.labels, self.sample)

    def reset(self, features: np.ndarray) -> None:
        """Put the memory back to the embeddings that the epoch began with, float32 (N, D)."""
        self.context.memory.copy_(torch.from_numpy(features))
        self.context.refresh(slice(None))
        self.judge.forget()
        self.judge.scaling = self.scaling
