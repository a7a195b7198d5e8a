"""The relation GCN's part of an epoch of stage `train`: read, judge, learn, write."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mprd.artifacts import CLUSTERS, GRAPH, RELATIONS, Artifact, read_artifact, write_artifact
from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.errors import UserError
from mprd.gcn.calibration import estimate_prior
from mprd.gcn.filter import RelationFilter
from mprd.gcn.learning import TaskSource, train_gcn
from mprd.gcn.networks.registry import RelationNetwork
from mprd.gcn.relation_tasks import RelationTasks
from mprd.gcn.weights import load_gcn, save_gcn
from mprd.models.network import ReidNetwork
from mprd.pipeline.inputs import EpochInputs
from mprd.pipeline.layout import EpochLayout
from mprd.pipeline.lineage import require_parent
from mprd.pipeline.settings import stage_settings
from mprd.stages.relation_sources import (
    embed_nodes,
    read_metadata,
    read_ranks,
    require_clusters_by_distance,
    require_same_data,
    unlabelled_tasks,
)


@dataclass(frozen=True)
class RelationFiles:
    """What the relation GCN's part of an epoch reads, checked.

    Attributes:
        graph: `graph.h5` of the epoch.
        doubtful: clusters whose pairs are doubtful: the epoch's, or its provisional ones if judged.
        metadata: `metadata.h5`.
        gcn: the network that the epoch begins with.
        ranks: `ranks.h5` of the epoch; None: all images are compared.
        digests: role -> digest of these files.
    """

    graph: Artifact
    doubtful: Artifact
    metadata: Artifact
    gcn: RelationNetwork
    ranks: Artifact | None
    digests: dict[str, str]


def read_relation_files(
    inputs: EpochInputs, index: Artifact, clusters: Artifact, features: Artifact
) -> RelationFiles:
    """Read and check the files.

    Args:
        inputs: files of the epoch, with graph, metadata and gcn.
        index: of the run.
        clusters: of this epoch.
        features: of this epoch.

    Raises:
        UserError: a file is missing, damaged, of another run, or of another width.
    """
    if inputs.graph is None or inputs.metadata is None or inputs.gcn is None:
        raise UserError("use_gcn needs --graph, --metadata and --gcn.")
    graph, dim = read_artifact(inputs.graph, GRAPH), features["features"].shape[1]
    require_parent(clusters, "graph", graph.digest, inputs.graph)
    metadata = read_metadata(inputs.metadata, index, dim)
    gcn, header = load_gcn(inputs.gcn, dim)
    require_same_data(header, index, inputs.gcn)
    digests = {"graph": graph.digest, "metadata": metadata.digest, "gcn": header["digest"]}
    ranks = read_ranks(inputs.ranks, features, index["camera"][features["row"]])
    if ranks is not None:
        digests["ranks"] = ranks.digest
    doubtful = clusters
    if inputs.provisional_clusters is not None:
        doubtful = read_artifact(inputs.provisional_clusters, CLUSTERS)
        require_parent(doubtful, "graph", graph.digest, inputs.graph)
        require_clusters_by_distance(doubtful)
        digests["drafts"] = doubtful.digest
    return RelationFiles(graph, doubtful, metadata, gcn, ranks, digests)


class RelationEpoch:
    """The relation GCN at work in one epoch of training.

    Attributes:
        filter: for the training loop, under the memory at hand.
    """

    def __init__(
        self,
        files: RelationFiles,
        *,
        memory: Tensor,
        features: np.ndarray,
        cameras: np.ndarray,
        cnn: ReidNetwork,
        store: PixelStore,
        config: Config,
        seed: int,
    ) -> None:
        """Set up the epoch, before its first training step.

        Args:
            files: what the epoch reads.
            memory: float32 (N, D), instance memory, equal to `features`; kept, not copied.
            features: float32 (N, D), of this epoch.
            cameras: int (N,), -1 unknown.
            cnn: the network that made the features.
            store: the training images.
            config: as stage `train`.
            seed: of all randomness here.
        """
        self._gcn, self._features, self._config = files.gcn.to(memory.device), features, config
        self._generator = torch.Generator().manual_seed(seed)
        self._relations = RelationTasks(
            network=self._gcn,
            memory=memory,
            graph=files.graph,
            labels=torch.from_numpy(files.doubtful["labels"]).long().to(memory.device),
            cameras=cameras,
            settings=config.gcn,
            generator=self._generator,
            keep_ranks=True,
            ranks=files.ranks,
        )
        # Found now, for training will change the memory.
        self._sources = self._task_sources(files, cnn, store)
        judge, sample = self._relations.judge, self._relations.sample
        self.filter = RelationFilter(judge, sample, estimate_prior(judge.probability(sample)))

    def write(self, out: EpochLayout, identity: np.ndarray, digests: dict[str, str]) -> dict:
        """Let the GCN learn; write it and the judgements of the epoch.

        Args:
            out: files of the epoch.
            identity: int (N,), -1 unknown; for the record only.
            digests: role -> digest of all inputs of the stage.

        Returns:
            What `metrics.json` reports.
        """
        arrays, summary = self.filter.record(identity)
        report: dict[str, Any] = dict(summary)
        if self._config.gcn.learn:
            report["loss"] = self._learn()
        settings, seed = stage_settings(self._config, "train"), self._config.seed
        write_artifact(
            out.relations,
            RELATIONS,
            arrays,
            config=settings,
            inputs=digests,
            seed=seed,
            attributes=summary,
        )
        save_gcn(out.gcn, self._gcn, config=settings, inputs=digests, seed=seed)
        return report

    def _learn(self) -> dict[str, list[float]]:
        """Train the GCN after the epoch, on all pairs under the embeddings that it began with.

        Returns:
            Source of tasks -> loss of each task.
        """
        settings = self._config.gcn
        self._relations.rewind(self._features)
        pairs, same = self.filter.collected()
        collected = self._relations.collected_tasks(pairs, same, settings.update.collected)
        return train_gcn(self._gcn, [*self._sources, collected], settings, self._generator)

    def _task_sources(
        self, files: RelationFiles, cnn: ReidNetwork, store: PixelStore
    ) -> list[TaskSource]:
        update, relations = self._config.gcn.update, self._relations
        if not self._config.gcn.learn:
            return []
        nodes = embed_nodes(files.metadata, self._features, cnn, store)
        return [
            relations.metadata_tasks(files.metadata, nodes, update.metadata),
            unlabelled_tasks(
                relations,
                cnn=cnn,
                store=store,
                eps=float(files.doubtful.attributes["eps"]),
                config=self._config,
                tasks=update.unlabelled,
            ),
        ]
