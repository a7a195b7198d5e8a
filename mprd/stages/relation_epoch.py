"""The relation GCN's part of an epoch of stage `train`: set up, judge, learn, write."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mprd.artifacts import GRAPH, RELATIONS, Artifact, read_artifact, write_artifact
from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.embedding import embed_pixels
from mprd.errors import UserError
from mprd.gcn.filter import RelationFilter
from mprd.gcn.learning import TaskSource, train_gcn
from mprd.gcn.surroundings import Surroundings
from mprd.gcn.weights import load_gcn, save_gcn
from mprd.models import ReidNetwork
from mprd.provenance import require_parent, stage_settings
from mprd.stages.common import split_rows
from mprd.stages.pretrain import read_metadata, unlabelled_source

if TYPE_CHECKING:
    from mprd.stages.train import TrainInputs


class RelationEpoch:
    """Reads the GCN of the epoch before, filters hard pairs with it, and passes it on.

    Attributes:
        digests: role -> digest of the files read.
    """

    def __init__(
        self,
        inputs: "TrainInputs",
        index: Artifact,
        clusters: Artifact,
        features: np.ndarray,
        network: ReidNetwork,
        store: PixelStore,
        config: Config,
        seed: int,
    ) -> None:
        """Read and check the files.

        Args:
            inputs: files of the epoch, with graph, metadata and gcn.
            index: of the run.
            clusters: of this epoch.
            features: float32 (N, D), of this epoch.
            network: the CNN; it must not be trained before `bind`.
            store: the training images.
            config: as stage `train`.
            seed: of all randomness here.

        Raises:
            UserError: a file is missing, damaged, of another run, or of another width.
        """
        if inputs.graph is None or inputs.metadata is None or inputs.gcn is None:
            raise UserError("use_gcn needs --graph, --metadata and --gcn.")
        rows = split_rows(index, "train")
        self._cameras, self._identity = index["camera"][rows], index["identity"][rows]
        self._graph = read_artifact(inputs.graph, GRAPH)
        require_parent(clusters, "graph", self._graph.digest, inputs.graph)
        self._metadata = read_metadata(inputs.metadata, index, features.shape[1])
        self._gcn, header = load_gcn(inputs.gcn, features.shape[1])
        if json.loads(header["inputs"]).get("index") != index.digest:
            raise UserError(
                f"{inputs.gcn} was trained on another data set than {inputs.index}. "
                "Make it again with `mprd pretrain`."
            )
        self.digests = {
            "graph": self._graph.digest,
            "metadata": self._metadata.digest,
            "gcn": header["digest"],
        }
        self._config, self._clusters, self._features = config, clusters, features
        self._network, self._store = network, store
        self._generator = torch.Generator().manual_seed(seed)

    def bind(self, memory: Tensor) -> RelationFilter:
        """Return the filter under an instance memory, float32 (N, D), at the epoch's start.

        The metadata are embedded by the model of this start, too.
        """
        labels = torch.from_numpy(self._clusters["labels"]).long().to(memory.device)
        self._around = Surroundings(
            self._gcn.to(memory.device),
            memory,
            self._graph,
            labels,
            self._cameras,
            self._config.gcn,
            self._generator,
        )
        # Found before training: the camera ranks are those of the epoch's features.
        self._sources = self._task_sources() if self._config.gcn.learn else []
        self._filter = self._around.filter()
        return self._filter

    def finish(self, out: Path, digests: dict[str, str]) -> dict[str, Any]:
        """Let the GCN learn, write `relations.h5` and `gcn.safetensors`.

        Args:
            out: folder of the epoch.
            digests: role -> digest of all inputs of the stage.

        Returns:
            What `metrics.json` reports.
        """
        arrays, summary = self._filter.record(self._identity)
        report: dict[str, Any] = dict(summary)
        if self._config.gcn.learn:
            report["loss"] = self._learn()
        settings = stage_settings(self._config, "train")
        seed = self._config.seed
        write_artifact(
            out / "relations.h5",
            RELATIONS,
            arrays,
            config=settings,
            inputs=digests,
            seed=seed,
            attributes=summary,
        )
        save_gcn(out / "gcn.safetensors", self._gcn, config=settings, inputs=digests, seed=seed)
        return report

    def _learn(self) -> dict[str, list[float]]:
        """Do the update: all pairs under the embeddings that the epoch began with."""
        settings = self._config.gcn
        self._around.reset(self._features)
        collected = self._around.collected(*self._filter.collected(), settings.update.collected)
        return train_gcn(self._gcn, [*self._sources, collected], settings, self._generator)

    def _task_sources(self) -> list[TaskSource]:
        update, eps = self._config.gcn.update, float(self._clusters.attributes["eps"])
        return [
            self._around.metadata(self._metadata, self._embed_nodes(), update.metadata),
            unlabelled_source(
                self._around, self._network, self._store, eps, self._config, update.unlabelled
            ),
        ]

    def _embed_nodes(self) -> np.ndarray:
        """Return the embeddings of the metadata nodes by the model of this epoch, (m, D)."""
        nodes = self._features[self._metadata["row"]].copy()
        views = self._metadata["view"] >= 0
        if views.any():
            pixels = torch.from_numpy(self._metadata["pixels"])
            nodes[views] = embed_pixels(self._network, pixels, self._store.device)
        return nodes
