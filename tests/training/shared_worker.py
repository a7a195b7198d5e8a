"""Processes alone and in groups, for test_sharing.py: twenty training steps, and judgements.

In float64, for in float32 rounding alone makes a difference that grows from step to step.
"""

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

# The network turns to float32 where bfloat16 would lose digits; here float64 must stay.
torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]

from mprd.config import AugmentConfig, TrainConfig  # noqa: E402
from mprd.gcn.judge import Judge  # noqa: E402
from mprd.gcn.networks.dgcnn import Dgcnn  # noqa: E402
from mprd.gcn.networks.registry import GcnShape  # noqa: E402
from mprd.losses.memories.cluster import ClusterMemory  # noqa: E402
from mprd.pairs.hard_pairs import HardPairs  # noqa: E402
from mprd.system import group  # noqa: E402
from mprd.training.epoch import make_optimizer  # noqa: E402
from mprd.training.sharing import from_first  # noqa: E402
from mprd.training.step import EpochTrainer  # noqa: E402
from tests.gcn.conftest import make_epoch  # noqa: E402
from tests.training.test_no_wait import small_network  # noqa: E402

STEPS, BATCH, GROUP = 20, 16, 4
SIZE = 32, 16


class Store:
    """Random images, as `PixelStore` gives them."""

    resident = True

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(5)
        self.images = torch.randint(0, 256, (count, *SIZE, 3), generator=generator).byte()

    def batch(self, rows: torch.Tensor) -> torch.Tensor:
        return self.images[rows]

    def ahead(self, rows: np.ndarray) -> None:
        pass


def train() -> dict:
    torch.manual_seed(0)
    network = small_network(GROUP, SIZE).double().train()
    network.precision = "float32"
    labels = torch.arange(40) // 5
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(40, network.dim, generator=generator, dtype=torch.float64)
    settings = TrainConfig(identities=4, instances=4, use_hsd=True, use_ppa=True)
    trainer = EpochTrainer(
        network=network,
        optimizer=make_optimizer(network, settings, 1),
        memory=ClusterMemory(torch.nn.functional.normalize(rows, dim=1), labels, 0.1, "hard"),
        pairs=HardPairs(labels, torch.arange(40) // 8),
        settings=settings,
        augmentation=AugmentConfig(),
        generator=generator,
    )
    plan = torch.Generator().manual_seed(2)
    store, losses = Store(40), []
    rows = [torch.randperm(40, generator=plan)[:BATCH].numpy() for _ in range(STEPS)]
    batches = trainer.expect(np.stack(rows))
    for step in range(STEPS):
        losses.append(trainer.step(store, batches.of_step(step)))
    return {"loss": torch.stack(losses), **network.state_dict(), "memory": trainer.memory.instances}


def judge() -> torch.Tensor:
    torch.manual_seed(0)
    context = make_epoch().context()
    context = replace(context, memory=context.memory.double())
    shape = GcnShape("raw", 16, hidden=(8, 8), sort_k=10, conv=(4, 6), mlp=8)
    asked = Judge(Dgcnn(shape).double(), context, None)
    pairs = torch.combinations(torch.arange(60))
    return asked.shared_probability(pairs)


def main(folder: Path) -> None:
    group.join("cpu")
    found = {"train": train(), "judge": judge()}
    parts = [torch.arange(n)[group.share(n, 4)] for n in (0, 1, 8, 30)]
    found["gathered"] = [
        group.gather(part, n, 4) for part, n in zip(parts, (0, 1, 8, 30), strict=True)
    ]
    held = SimpleNamespace(values=torch.full((3,), float(group.rank())), name="a memory")
    from_first(held)
    found["first"] = held.values
    torch.save(found, folder / f"{group.size()}-{group.rank()}.pt")
    group.leave()


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def fork(folder: Path) -> None:
    """Do the work alone and in groups of two and four, in children that need not import torch."""
    torch.set_num_threads(1)
    children = []
    for size in (1, 2, 4):
        shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1"}
        shared["MASTER_PORT"] = str(free_port())
        for rank in range(size):
            child = os.fork()
            if child == 0:
                if size > 1:
                    own = {group.WORKER: "1", "RANK": str(rank), "LOCAL_RANK": str(rank)}
                    os.environ.update(shared | own)
                main(folder)
                os._exit(0)
            children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        raise SystemExit("a process failed")


if __name__ == "__main__":
    fork(Path(sys.argv[1]))
