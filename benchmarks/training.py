"""A training step beside a bare loop: `python benchmarks/training.py [--device cuda]`.

Ours: batches from the pixel store, augmentation, HSD and PPA on hard pairs, memories, checks.
Bare: the same two forward and backward passes and the same optimiser, on images that are ready.
"""

import tempfile
from pathlib import Path

import fabricate
import numpy as np
import torch
from common import Row, arguments, compare, embeddings, report

from mprd.config import Config
from mprd.data.pixels import PixelStore
from mprd.losses.memories.cluster import ClusterMemory
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
from mprd.pairs.hard_pairs import HardPairs
from mprd.system.torch_setup import set_up_cpu
from mprd.training.epoch import make_optimizer, train_epoch
from mprd.training.step import EpochTrainer


def make_network(config: Config, device: torch.device) -> ReidNetwork:
    torch.manual_seed(0)
    data, model = config.data, config.model
    shape = Architecture(
        model.backbone, model.pooling, model.bn_group_size, data.height, data.width
    )
    return ReidNetwork(shape).to(device).to(memory_format=torch.channels_last).train()


class Ours:
    """Epochs of a few steps, one after the other."""

    def __init__(self, config: Config, count: int, folder: Path, device: torch.device) -> None:
        fabricate.write_index(folder, count)
        fabricate.write_pixels(folder, config.data.height, config.data.width)
        self.store = PixelStore(folder / "pixels.h5", np.arange(count), device)
        network = make_network(config, device)
        features, identity = embeddings(count, network.dim)
        rng = np.random.default_rng(0)
        # A tenth of the images changed cluster: both kinds of hard pairs.
        before = np.where(rng.random(count) < 0.1, rng.permutation(identity), identity)
        labels, previous = (
            torch.from_numpy(np.unique(who, return_inverse=True)[1]).to(device)
            for who in (identity, before)
        )
        settings = config.train
        self.trainer = EpochTrainer(
            network=network,
            optimizer=make_optimizer(network, settings, 1),
            memory=ClusterMemory(
                torch.from_numpy(features).to(device),
                labels,
                settings.momentum,
                settings.memory_update,
            ),
            pairs=HardPairs(labels, previous),
            settings=settings,
            augmentation=config.augment,
            generator=torch.Generator(device).manual_seed(0),
        )
        self.cameras = rng.integers(0, 6, count)

    def __call__(self) -> None:
        """Train an epoch."""
        train_epoch(self.trainer, self.store, self.cameras, 2, np.random.default_rng(0))


class Bare:
    """The same passes on fixed images."""

    def __init__(self, config: Config, device: torch.device) -> None:
        settings, data = config.train, config.data
        self.network = make_network(config, device)
        self.optimizer = make_optimizer(self.network, settings, 1)
        shape = settings.identities * settings.instances, 3, data.height, data.width
        self.images = [
            torch.randn(shape, device=device).to(memory_format=torch.channels_last)
            for _ in range(2)
        ]
        self.device, self.steps = device, settings.iters

    def step(self) -> None:
        """Do two forward passes, a backward pass and an optimiser step."""
        x, y = (self.network(images) for images in self.images)
        self.optimizer.zero_grad(set_to_none=True)
        (x * y).sum().backward()
        self.optimizer.step()

    def __call__(self) -> None:
        """Do as many steps as an epoch has."""
        for _ in range(self.steps):
            self.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    options = arguments(
        __doc__, device="cpu", backbone="", height=0, width=0, n=4000, steps=0, runs=3
    )
    set_up_cpu(None)  # as the stage does
    device = torch.device(options.device)
    gpu = device.type == "cuda"
    height, width = (256, 128) if gpu else (128, 64)
    config = fabricate.config(
        data={"height": options.height or height, "width": options.width or width},
        model={"backbone": options.backbone or ("resnet50" if gpu else "resnet18")},
        train={"iters": options.steps or (100 if gpu else 8)},
    )
    with tempfile.TemporaryDirectory() as folder:
        ours = Ours(config, options.n, Path(folder), device)
        bare = Bare(config, device)
        bare()
        found = compare(ours, bare, options.runs)
    share, limit = 1 / found.ratio, 1.15 if gpu else 1.10
    steps = config.train.iters
    size = f"{config.model.backbone}, {config.data.height}x{config.data.width}, B=64+64"
    where = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} threads"
    rows = [
        Row(
            f"training step, {device.type}",
            size,
            f"{share:.2f}x the bare loop",
            f"{limit:.2f}x",
            share <= limit,
            f"{1000 * found.ours / steps:.0f} ms against {1000 * found.reference / steps:.0f} ms "
            f"a step; {where}",
        )
    ]
    report(rows, options.json)


if __name__ == "__main__":
    main()
