"""What each stage of a run will take: memory and time, for a batch system that must be told before.

The memory is what the stages themselves ask for (`mprd.system.ram`). Times come from rates measured
on one CPU core, and from a ratio on a GPU; they are meant to be too long, not right.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mprd.artifacts import INDEX, SPLITS, read_artifact
from mprd.config import Config
from mprd.inference.embed import CPU_BATCH
from mprd.models.build import build_network
from mprd.models.footprint import footprint
from mprd.pipeline.registry import load_plugins
from mprd.pipeline.shared import SHARED
from mprd.system.ram import (
    MIB,
    PIXEL_SHARE,
    cluster_bytes,
    evaluation_bytes,
    graph_bytes,
    inference_bytes,
    judge_bytes,
    pixels_bytes,
    ranks_bytes,
    relation_bytes,
    training_bytes,
)

_EPOCH = ("features", "graph", "ranks", "cluster", "judge", "train")  # its stages
_HELD = 4 * 2**30  # pixels up to this size should find room in memory
_LEAST = 1024 * MIB
# Of one CPU core, for each MiB of feature maps of an image; ResNets take most (docs/learning.md).
_TRAIN_SECONDS, _EMBED_SECONDS = 0.011, 0.003
_DECODE_SECONDS = 0.002  # of an image
_JUDGE_SECONDS = 0.002  # of a pair
_PRODUCTS = 20e9  # multiplications a second, in a search for neighbours
_ON_GPU = 20  # times as fast as one core, at least
_MARGIN, _START = 3, 300  # times the estimate, and seconds more


@dataclass(frozen=True)
class Need:
    """What a stage will take.

    Attributes:
        memory: bytes, at most.
        seconds: on one CPU core, at most.
        gpu_seconds: with a GPU, at most.
    """

    memory: int
    seconds: float
    gpu_seconds: float


def stage_needs(index: Path, config: Config) -> dict[str, Need]:
    """Return what the stages behind `index` will take, by name.

    Args:
        index: `index.h5`.
        config: of the run.

    Raises:
        UserError: the index cannot be read; an unknown backbone.
    """
    load_plugins(config)
    return _Estimate(index, config).stages()


class _Estimate:
    """The sizes of a run."""

    def __init__(self, index: Path, config: Config) -> None:
        images = read_artifact(index, INDEX, ("split", "camera"))
        split, self.cameras = images["split"], len(np.unique(images["camera"]))
        self.train, self.queries, self.gallery = (
            int((split == n).sum()) for n in range(len(SPLITS))
        )
        self.config, data = config, config.data
        network = build_network(config, data.height, data.width, pretrained=False).eval()
        self.dim, self.sizes = network.dim, footprint(network)
        self.stored = config.graph.k1 * self.train  # about twice what graphs store

    def stages(self) -> dict[str, Need]:
        every = self.train + self.queries + self.gallery
        found = {
            "pixels": self._need(self._pixel_stage(every), cpu=every * _DECODE_SECONDS),
            "init": self._init(),
            "features": self._embed(self.train),
            "graph": self._need(self._graph(), cpu=self._search()),
            "cluster": self._cluster(),
            "evaluate": self._evaluate(),
            "train": self._train(),
            "export": self._export(every),
        }
        if self.config.use_gcn:
            found |= {"metadata": self._embed(self.train), "pretrain": self._pretrain()}
        if self.config.uses_ranks:
            found["ranks"] = self._rank()
        if self.config.uses_judgements:
            found["judge"] = self._judge()
        for stage in SHARED & set(found):
            alone = found[stage]
            found[stage] = replace(alone, memory=alone.memory * self.config.processes)
        steps = [found[name] for name in _EPOCH if name in found]
        found["epoch"] = Need(
            max(step.memory for step in steps),
            sum(step.seconds for step in steps),
            sum(step.gpu_seconds for step in steps),
        )
        return found

    def _need(self, memory: int, network: float = 0.0, cpu: float = 0.0) -> Need:
        """Return a need from seconds of a core in the network, which a GPU shortens, and others."""
        seconds = _START + _MARGIN * (network + cpu)
        return Need(max(memory, _LEAST), seconds, _START + _MARGIN * (network / _ON_GPU + cpu))

    def _pixels(self, images: int) -> int:
        """Return the bytes of images that are held in memory, 0 where they are read by batch."""
        size = images * 3 * self.config.data.height * self.config.data.width
        return size if size <= _HELD else 0

    def _with_room(self, memory: int, images: int) -> int:
        """Return a memory in which the images are held: they take a part of what is free."""
        return max(memory, int(self._pixels(images) / PIXEL_SHARE))

    def _pixel_stage(self, images: int) -> int:
        return pixels_bytes(images, self.config.data.height, self.config.data.width)

    def _inference(self, images: int) -> int:
        largest, embeddings = CPU_BATCH * self.sizes.largest, 4 * images * self.dim
        return inference_bytes(largest, self._pixels(images), embeddings)

    def _passes(self, images: float, seconds: float) -> float:
        return images * seconds * self.sizes.activations / MIB

    def _embed(self, images: int) -> Need:
        memory = self._with_room(self._inference(images), images)
        return self._need(memory, self._passes(images, _EMBED_SECONDS))

    def _training(self, views: int) -> int:
        held = self._pixels(self.train)
        return training_bytes(self.sizes.activations, views, self.sizes.weights, held)

    def _init(self) -> Need:
        settings = self.config.init
        if settings.method != "warmup":
            return self._need(_LEAST + 4 * self.sizes.weights)
        views = 2 * settings.warmup.batch_size
        memory = self._with_room(self._training(views), self.train)
        return self._need(memory, self._passes(settings.warmup.steps * views, _TRAIN_SECONDS))

    def _train(self) -> Need:
        settings = self.config.train
        batch = settings.identities * settings.instances * (1 + settings.use_ppa)
        memory = self._training(batch) + 4 * 4 * self.train * self.dim
        network = self._passes(settings.iters * batch, _TRAIN_SECONDS)
        cpu = 0.0
        if self.config.use_gcn:
            memory += self._relations()
            cpu = self._ranks()
        return self._need(self._with_room(memory, self.train), network, cpu)

    def _cluster(self) -> Need:
        community = self.config.cluster.method != "dbscan"
        sizes = self.train, self.stored, self.config.graph.k1
        return self._need(cluster_bytes(*sizes, community=community))

    def _graph(self) -> int:
        settings = self.config.graph
        block = settings.search_memory_mb * MIB if settings.backend != "faiss" else -1
        return graph_bytes(
            self.train,
            self.dim,
            settings.k1,
            centred=settings.cameras != "none",
            ivf_threads=16 if settings.backend == "ivf" else 0,
            torch_block=block,
        )

    def _search(self) -> float:
        pairs = self.train**2 if self.config.graph.backend != "ivf" else 300 * self.train**1.5
        return pairs * self.dim / _PRODUCTS

    def _rank(self) -> Need:
        memory = ranks_bytes(self.train, self.dim, self.cameras)
        return self._need(memory, cpu=self.cameras * self._search())

    def _ranks(self) -> float:
        """Return the seconds that comparing all images takes, where `ranks` has not done it."""
        return 0.0 if self.config.uses_ranks else self._search()

    def _relations(self) -> int:
        return relation_bytes(self.train, self.dim, self.cameras, self.config.graph.k1)

    def _pretrain(self) -> Need:
        tasks = self.config.gcn.pretrain
        pairs = (tasks.metadata + tasks.unlabelled) * self.config.gcn.batch
        more = self._relations()
        pairs *= self.config.gcn.inner_steps
        return self._need(
            self._inference(self.train) + more, cpu=3 * pairs * _JUDGE_SECONDS + self._ranks()
        )

    def _judge(self) -> Need:
        memory = judge_bytes(self.train, self.dim, self.cameras, self.stored)
        return self._need(memory, self.stored / 2 * _JUDGE_SECONDS, self._ranks())

    def _evaluate(self) -> Need:
        images = self.queries + self.gallery
        reranked = self.config.evaluate.rerank
        memory = self._inference(images)
        memory += evaluation_bytes(self.queries, self.gallery, self.dim, reranked=reranked)
        network = self._passes(images * (1 + self.config.evaluate.flip), _EMBED_SECONDS)
        compared = self.queries * self.gallery * self.dim / _PRODUCTS
        return self._need(self._with_room(memory, images), network, compared)

    def _export(self, every: int) -> Need:
        parts = [self._embed(every), self._need(self._graph(), cpu=self._search())]
        parts.append(self._cluster())
        parts += [self._judge()] if self.config.uses_judgements else []
        parts += [self._rank()] if self.config.uses_judgements and self.config.uses_ranks else []
        return Need(
            max(part.memory for part in parts),
            sum(part.seconds for part in parts),
            sum(part.gpu_seconds for part in parts),
        )
