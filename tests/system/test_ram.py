"""What stages say they need; the formulas themselves are checked by benchmarks/memory.py."""

import psutil
import pytest

from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture
from mprd.models.footprint import footprint
from mprd.models.network import ReidNetwork
from mprd.system import ram as memory

GIB = 2**30


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(str(text))


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A machine with 8 GiB free, of which this process has none."""
    fake = type("Memory", (), {"available": 8 * GIB})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: fake)
    info = type("Info", (), {"rss": 0})
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: info)
    return tmp_path


def test_without_groups_the_free_memory_counts(root):
    assert memory.usable(root) == 8 * GIB


@pytest.mark.parametrize(
    ("limits", "expected"),
    [(("max", 2 * GIB), 1 * GIB), ((3 * GIB, "max"), 2 * GIB), (("max", "max"), 8 * GIB)],
)
def test_the_tightest_group_counts(root, limits, expected):
    """Version 2; both groups use 2 GiB, of which one can leave the file cache."""
    write(root / "proc/self", cgroup="0::/job/step")
    stat = f"anon 5\nactive_file {GIB // 4}\ninactive_file {3 * GIB // 4}\n"
    for folder, limit in zip(("job", "job/step"), limits, strict=True):
        files = {"memory__max": limit, "memory__current": 2 * GIB, "memory__stat": stat}
        write(root / "sys/fs/cgroup" / folder, **files)
    assert memory.usable(root) == expected


def test_groups_of_version_1(root):
    write(root / "proc/self", cgroup="5:cpu,cpuacct:/job\n4:memory:/job\n")
    write(
        root / "sys/fs/cgroup/memory/job",
        memory__limit_in_bytes=5 * GIB,
        memory__usage_in_bytes=4 * GIB,
        memory__stat=f"total_inactive_file {GIB}",
    )
    assert memory.usable(root) == 2 * GIB


def test_enough_is_said_and_too_little_refused(root, capsys, monkeypatch):
    monkeypatch.setattr(memory, "usable", lambda: 8 * GIB)
    memory.require("graph", 2 * GIB, "Help.")
    assert capsys.readouterr().err == (
        "mprd graph: needs about 2.00 GiB of memory, 8.00 GiB are free\n"
    )
    with pytest.raises(UserError, match=r"Stage graph needs about 9.00 GiB .* free\. Help\."):
        memory.require("graph", 9 * GIB, "Help.")


def test_formulas_grow_with_what_they_count():
    plain = memory.graph_bytes(1000, 100, 30, centred=False)
    larger = (
        {"centred": True},
        {"ivf_threads": 2},
        {"torch_block": 0},
        {"count": 2000},
        {"dim": 200},
    )
    for more in larger:
        values = {"count": 1000, "dim": 100, "centred": False} | more
        assert memory.graph_bytes(k1=30, **values) > plain
    sizes = 1000, 5000, 64
    least = memory.evaluation_bytes(*sizes, reranked=False) + 4 * 1000 * 5000
    assert memory.evaluation_bytes(*sizes, reranked=True) > least


def test_pixels_are_held_if_they_take_a_small_share(root):
    assert memory.held_pixels(3 * GIB) == 3 * GIB
    assert memory.held_pixels(4 * GIB) == 0


def test_pixels_heed_the_limit_of_a_group(root, monkeypatch):
    monkeypatch.setattr(memory, "_group_free", lambda root: [2 * GIB])
    assert memory.held_pixels(GIB) == 0
    assert memory.held_pixels(GIB // 2) == GIB // 2


def test_footprint_counts_feature_maps_and_leaves_the_network_as_it_was():
    network = ReidNetwork(Architecture("mini", "avg", 0, 32, 16)).eval()
    sizes = footprint(network)
    # The stem's convolution and its normalisation: 32 maps of 16x8, the largest there are.
    assert sizes.largest == 4 * 32 * 16 * 8
    assert sizes.activations > 4 * sizes.largest
    assert sizes.weights == sum(4 * p.numel() for p in network.parameters())
    assert not any(m._forward_hooks for m in network.modules())
    assert not network.training
    # On whatever device it is: none of the CPU's own.
    assert footprint(network.to("meta")) == sizes


@pytest.mark.parametrize(
    ("asked", "expected"), [("2048M", 2), ("2G", 2), ("1.5G", 1.5), ("0", 8), ("", 8)]
)
def test_what_a_slurm_job_asked_for_counts(root, monkeypatch, tmp_path, asked, expected):
    """Not each cluster puts its jobs into control groups, and executors hide its variables."""
    command = tmp_path / "scontrol"
    command.write_text(f"#!/bin/sh\necho JobId=$5 MinMemoryNode={asked} MinTmpDiskNode=0\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    memory._job_memory.cache_clear()
    assert memory.usable(root) == expected * GIB
    info = type("Info", (), {"rss": GIB})
    monkeypatch.setattr(psutil.Process, "memory_info", lambda self: info)
    assert memory.usable(root) == (expected if asked not in ("0", "") else 9) * GIB


def test_a_job_without_the_command_is_not_limited(root, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    memory._job_memory.cache_clear()
    assert memory.usable(root) == 8 * GIB
