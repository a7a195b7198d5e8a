"""One, two and four processes give one result; a lost one stops all with a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mprd.cli.launch import run_shared
from mprd.config import validate
from mprd.errors import UserError
from mprd.system import group

WORKER = "tests.training.shared_worker"
ROOT = Path(__file__).parents[2]


def environment(**more: str) -> dict[str, str]:
    quiet = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    return {**os.environ, **quiet, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each process of each group found: size -> one result per rank."""
    folder = tmp_path_factory.mktemp("shared")
    line = [sys.executable, "-m", "tests.training.shared_worker", folder]
    subprocess.run(line, env=environment(), check=True, timeout=300)
    return {
        size: [torch.load(folder / f"{size}-{rank}.pt") for rank in range(size)]
        for size in (1, 2, 4)
    }


@pytest.mark.parametrize("size", [2, 4])
def test_twenty_steps_are_those_of_one_process(found, size):
    alone = found[1][0]["train"]
    assert len(alone["loss"]) == 20
    assert (alone["loss"][:, 0].diff() != 0).all(), "it moves"
    for shared in found[size]:
        assert shared["train"].keys() == alone.keys()
        for key, value in alone.items():
            torch.testing.assert_close(shared["train"][key], value, atol=1e-10, rtol=1e-9)


@pytest.mark.parametrize("size", [2, 4])
def test_all_processes_hold_the_same(found, size):
    first = found[size][0]["train"]
    for other in found[size][1:]:
        assert all(torch.equal(other["train"][key], value) for key, value in first.items())


@pytest.mark.parametrize("size", [1, 2, 4])
def test_tensors_come_from_the_first_process(found, size):
    assert all(not result["first"].any() for result in found[size])


@pytest.mark.parametrize("size", [1, 2, 4])
def test_parts_are_gathered_in_order(found, size):
    for result in found[size]:
        assert torch.equal(result["judge"], found[1][0]["judge"])
        assert [part.tolist() for part in result["gathered"]] == [
            list(range(n)) for n in (0, 1, 8, 30)
        ]


def test_alone_nothing_is_asked_of_torch():
    assert (group.rank(), group.size(), group.writes()) == (0, 1, True)
    assert group.share(7, 2) == slice(0, 7)
    part = torch.arange(3)
    assert group.gather(part, 3) is part


@pytest.mark.parametrize(("processes", "groups"), [(2, 0), (3, 4), (4, 8)])
def test_batches_that_cannot_be_shared_are_refused(processes, groups):
    values = {"processes": processes, "model": {"bn_group_size": groups}}
    values["train"] = {"identities": 4, "instances": 4}
    with pytest.raises(UserError, match=f"{processes} processes cannot share a batch of 16 images"):
        validate(values, "config.yaml")


def test_one_gpu_is_not_several(monkeypatch):
    values = {"processes": 2, "model": {"bn_group_size": 4}, "device": "cuda:1"}
    with pytest.raises(UserError, match="cuda:1 is one GPU, 2 processes want as many"):
        validate(values, "config.yaml")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    config = validate({**values, "device": "auto"}, "config.yaml")
    with pytest.raises(UserError, match="processes is 2, but torch sees 1 CUDA devices"):
        run_shared(config, 2, lambda: pytest.fail("started"))
