"""How many images are embedded at once, and what happens when the GPU's memory runs out."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch

from mprd.data.pixels import PixelStore
from mprd.inference.batches import Batches, batch_size
from mprd.inference.embed import embed_pixels, embed_store, largest_map
from mprd.inference.embedder import Embedder
from mprd.models.backbones.registry import Architecture
from mprd.models.footprint import footprint
from mprd.models.network import ReidNetwork
from mprd.stages.run_stage import run_stage
from tests.cards import two_cards
from tests.stages.pipeline import changed

CPU, CARD = torch.device("cpu"), torch.device("cuda", 1)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    built = ReidNetwork(Architecture("mini", "gem", 0, 32, 16)).eval()
    built.precision = "float32"
    return built


def test_the_batch_follows_the_free_memory(network, monkeypatch):
    one = 8 * footprint(network).largest
    for free, expected in ((2 * one * 100, 64), (2 * one * 2**20, 512), (2 * one, 1), (0, 1)):
        two_cards(monkeypatch, free)
        assert batch_size(network, CARD, "auto") == expected
    # What torch keeps for itself is free as well.
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 2 * one * 40)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 2 * one * 8)
    assert batch_size(network, CARD, "auto") == 32


def test_the_setting_wins_and_a_cpu_has_its_own(network, monkeypatch):
    two_cards(monkeypatch, 0)
    assert batch_size(network, CARD, 300) == 300
    assert batch_size(network, CPU, 300) == 300
    assert batch_size(network, CPU, "auto") == 64
    largest = footprint(network).largest
    assert largest_map(network, CPU, "auto") == 64 * largest
    assert largest_map(network, CPU, 10) == 10 * largest, "the memory that is asked for"
    assert largest_map(network, CARD, 10) == 0


class Card:
    """Embeds, and has memory for so many images."""

    def __init__(self, room):
        self.room, self.done = room, []

    def __call__(self, pixels):
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        self.done.append(len(pixels))
        return pixels.float()


def test_a_batch_is_halved_until_it_fits(capsys, monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    card = Card(5)
    embed = Batches(card, 32)
    rows = torch.arange(20)[:, None]
    assert torch.equal(embed(rows), rows.float())
    assert card.done == [5, 5, 5, 5]
    assert len(emptied) == 2
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"The GPU's memory is too small for {tried} images at once: from here on {tried // 2} "
        "(features.batch)."
        for tried in (20, 10)
    ]
    embed(rows)
    assert card.done == [5] * 8, "it stays so"
    assert capsys.readouterr().err == ""


def test_one_image_that_does_not_fit_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        Batches(Card(0), 2)(torch.zeros(2, 1))


def test_a_network_that_runs_out_of_memory_embeds_the_same(network, monkeypatch):
    """In every way that a network is used."""
    pixels = torch.randint(0, 256, (40, 32, 16, 3), dtype=torch.uint8)
    whole = embed_pixels(network, pixels, CPU)
    forward, passed = network.forward, []

    def small(images):
        if len(images) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        passed.append(len(images))
        return forward(images)

    monkeypatch.setattr(network, "forward", small)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    np.testing.assert_allclose(embed_pixels(network, pixels, CPU), whole, atol=1e-6)
    embedder = Embedder(network, CPU)
    np.testing.assert_allclose(embedder.embed(pixels.numpy()), whole, atol=1e-6)
    assert max(passed) == 5
    assert sum(passed) == 80


def test_a_stage_takes_the_batch_of_the_config(judged_run, tiny_config, tmp_path, monkeypatch):
    seen = []
    batch = PixelStore.batch

    def noted(store, positions):
        seen.append(len(positions))
        return batch(store, positions)

    monkeypatch.setattr(PixelStore, "batch", noted)
    config = changed(tiny_config, features={"batch": 20})
    run_stage("features", judged_run, config, step=1, out=tmp_path / "f.h5")
    assert seen == [20, 20, 14]
    seen.clear()
    evaluation = {"out": tmp_path / "e.json", "rankings": tmp_path / "r.h5"}
    run_stage("evaluate", judged_run, config, step="001", **evaluation)
    assert seen == [20, 7]


def test_a_store_is_embedded_alike_after_running_out(judged_run, network, monkeypatch):
    store = PixelStore(judged_run.pixels, np.arange(50), CPU)
    plain = embed_store(network, store, CPU, flip=True)
    forward = network.forward

    def small(images):
        if len(images) > 13:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(images)

    monkeypatch.setattr(network, "forward", small)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    halved = embed_store(network, store, CPU, flip=True, batch=26)
    np.testing.assert_allclose(halved, plain, atol=1e-6)


SHARED = """
import os, sys
import torch
from mprd.inference.batches import batch_size
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
from mprd.system import group

rank = "1" if os.fork() else "0"
os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
sys.stdout = open(sys.argv[int(rank) + 1], "w")
group.join("cpu")
network = ReidNetwork(Architecture("mini", "gem", 0, 32, 16)).eval()
torch.cuda.mem_get_info = lambda device: ((2 - group.rank()) * 2**26, 2**30)
torch.cuda.memory_reserved = torch.cuda.memory_allocated = lambda device: 0
print(batch_size(network, torch.device("cuda", group.rank()), "auto"))
group.leave()
sys.stdout.close()
if rank == "0":
    os._exit(0)
sys.exit(os.wait()[1])
"""


def test_processes_that_share_a_store_take_one_batch(tmp_path):
    """Else they would not agree on who embeds what; the card with less memory decides."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    common = os.environ | {"MPRD_WORKER": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
    common |= {"MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    files = [tmp_path / "0", tmp_path / "1"]
    line = [sys.executable, "-c", SHARED, *files]
    subprocess.run(line, env=common, check=True, timeout=120)
    said = [int(path.read_text()) for path in files]
    assert said == [256, 256], "alone, the first would take 512"
