"""What each stage of a run will take: memory and time, for a batch system that must be told before.

The memory is what the stages themselves ask for (`mprd.pipeline.memory`). Times come from rates
measured on one CPU core, and from a ratio on a GPU; they are meant to be too long, not right.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mprd.artifacts import INDEX, SPLITS, read_artifact
from mprd.artifacts.workbench import HELD_BYTES
from mprd.config import Config
from mprd.inference.embed import cpu_batch
from mprd.inference.feature_files import read_array
from mprd.models.footprint import Footprint, footprint
from mprd.models.network import build_network
from mprd.pipeline.memory import Sizes, stage_memory
from mprd.pipeline.registry import load_plugins
from mprd.pipeline.stage import Place, Stage
from mprd.pipeline.stages import STAGES
from mprd.system.ram import MIB, PIXEL_SHARE

_HELD = 4 * 2**30  # pixels up to this size should find room in memory
_LEAST = 1024 * MIB
_THREADS = 16  # most that a job asks for
# Of one CPU core, for each MiB of feature maps of an image; ResNets take most
# (docs/explanation/learning.md).
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
    return _Estimate(index, config).needs()


class _Estimate:
    """The sizes of a run."""

    def __init__(self, index: Path, config: Config) -> None:
        images = read_artifact(index, INDEX, ("split", "camera"))
        split, self.cameras = images["split"], len(np.unique(images["camera"]))
        self.train, self.queries, self.gallery = (
            int((split == number).sum()) for number in range(len(SPLITS))
        )
        self.config, data = config, config.data
        if data.features is not None:
            self.dim = int(read_array(data.features).shape[-1])
            self.footprint = Footprint(largest=0, activations=0, weights=0)
        else:
            network = build_network(
                config,
                data.height,
                data.width,
                pretrained=False,
                checkpoint=config.init.checkpoint,
            ).eval()
            self.dim, self.footprint = network.dim, footprint(network)
        # About what graphs store, with a margin: k1 / 2 pairs an image up to 0.7, 10 k1 up to 0.97.
        wide = max(config.graph.eps_max - 0.7, 0.0)
        self.stored = round((1 + 40 * wide) * config.graph.k1) * self.train

    def needs(self) -> dict[str, Need]:
        stages = [one for one in STAGES if one.memory and one.exists(self.config)]
        found = {one.name: self._need(one.name) for one in stages}
        for one in stages:
            if one.shared:
                alone = found[one.name]
                found[one.name] = replace(alone, memory=alone.memory * self.config.processes)
        of_epoch = [one for one in stages if one.place in (Place.STEP, Place.EPOCH)]
        steps = [found[one.name] for one in of_epoch]
        found["epoch"] = Need(
            max(found[one.name].memory + self._beside(one) for one in of_epoch),
            sum(step.seconds for step in steps),
            sum(step.gpu_seconds for step in steps),
        )
        return found

    def _beside(self, one: Stage) -> int:
        """Return what a job of several epochs holds in memory beside a stage, at most."""
        weights, images = self.footprint.weights, self.train
        files = 4 * images * (self.dim + 3 * self.config.graph.k1 + 14 * self.cameras)
        files += 20 * self.stored + 3 * weights
        held = min(self.config.epochs_per_job * files, HELD_BYTES)
        if not any(read.role == "pixels" for read in one.reads):
            held += self._pixels(images)
        networks = 3 * weights
        return self.config.processes * (held + networks)

    def _need(self, name: str) -> Need:
        images = self._images(name)
        held = self._pixels(images)
        sizes = Sizes(
            images=images,
            dim=self.dim,
            cameras=self.cameras,
            stored=self.stored,
            neighbors=self.config.graph.k1,
            queries=self.queries,
            pixels=held,
            largest=cpu_batch(self.config.features.batch) * self.footprint.largest,
            activations=self.footprint.activations,
            weights=self.footprint.weights,
            threads=_THREADS,
            torch=self.config.graph.backend not in ("faiss", "ivf"),
        )
        memory = stage_memory(name, sizes, self.config)
        if name in ("init", "features", "metadata", "train", "evaluate", "export"):
            memory = max(memory, int(held / PIXEL_SHARE))  # in which the images are held
        network, cpu = self._seconds(name)
        seconds = _START + _MARGIN * (network + cpu)
        return Need(max(memory, _LEAST), seconds, _START + _MARGIN * (network / _ON_GPU + cpu))

    def _images(self, name: str) -> int:
        """Return how many images a stage works on."""
        others = self.queries + self.gallery
        return {"pixels": self.train + others, "evaluate": others, "export": others}.get(
            name, self.train
        )

    def _pixels(self, images: int) -> int:
        """Return the bytes of images that are held in memory, 0 where they are read by batch."""
        size = images * 3 * self.config.data.height * self.config.data.width
        return size if size <= _HELD else 0

    def _seconds(self, name: str) -> tuple[float, float]:
        """Return seconds of a core in the network, which a GPU shortens, and others."""
        config, images = self.config, self._images(name)
        tasks, update = config.gcn.pretrain, config.gcn.update
        # Without `ranks` the stages of the relation GCN compare all images themselves.
        compared = 0.0 if config.uses_ranks else self._search()
        embedded = self._passes(images, _EMBED_SECONDS)
        batch = config.train.identities * config.train.instances * (1 + config.train.use_ppa)
        return {
            "pixels": (0.0, images * _DECODE_SECONDS),
            "init": (self._warm_up(), 0.0),
            "features": (embedded, 0.0),
            "metadata": (embedded, 0.0),
            "export": (embedded, 0.0),
            "graph": (0.0, self._search()),
            "ranks": (0.0, self.cameras * self._search()),
            "pretrain": (0.0, self._learn(tasks.metadata + tasks.unlabelled) + compared),
            "judge": (self.stored / 2 * _JUDGE_SECONDS, compared),
            "train": (
                self._passes(config.train.iters * batch, _TRAIN_SECONDS),
                compared if config.use_gcn else 0.0,
            ),
            "learn": (
                0.0,
                self._learn(update.metadata + update.unlabelled + update.collected) + compared,
            ),
            "evaluate": (
                self._passes(images * (1 + config.evaluate.flip), _EMBED_SECONDS),
                self.queries * self.gallery * self.dim / _PRODUCTS,
            ),
        }.get(name, (0.0, 0.0))

    def _passes(self, images: float, seconds: float) -> float:
        return images * seconds * self.footprint.activations / MIB

    def _warm_up(self) -> float:
        if self.config.init.method != "warmup":
            return 0.0
        settings = self.config.init.warmup
        return self._passes(settings.steps * 2 * settings.batch_size, _TRAIN_SECONDS)

    def _learn(self, tasks: int) -> float:
        """Return the seconds of Reptile tasks: each pair is computed forth and back."""
        pairs = tasks * self.config.gcn.batch * self.config.gcn.inner_steps
        return 3 * pairs * _JUDGE_SECONDS

    def _search(self) -> float:
        pairs = self.train**2 if self.config.graph.backend != "ivf" else 300 * self.train**1.5
        return pairs * self.dim / _PRODUCTS
