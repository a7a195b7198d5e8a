"""`benchmarks/gpu.py` at toy sizes on a CPU: every row, in turns, without packages it can miss."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from timm.layers import BatchNormAct2d

from mprd.models.batchnorm import group_batchnorm

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks/gpu.py"
MISSING = ("snakemake", "bokeh", "faiss", "graspologic_native")


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)


@pytest.fixture
def without(tmp_path) -> dict[str, str]:
    """An environment in which `MISSING` cannot be imported, in processes that start others, too."""
    (tmp_path / "sitecustomize.py").write_text(
        f"""
from importlib.machinery import PathFinder

find = PathFinder.find_spec.__func__


def find_spec(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in {MISSING} else find(cls, name, path, target)


PathFinder.find_spec = classmethod(find_spec)
"""
    )
    return os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}


def call(*options: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    words = [sys.executable, SCRIPT, *map(str, options)]
    return subprocess.run(words, capture_output=True, text=True, env=env)


def test_every_row_runs_where_little_is_installed(market, without, tmp_path, monkeypatch, capsys):
    check = [sys.executable, "-c", "import faiss"]
    assert subprocess.run(check, env=without, capture_output=True).returncode == 1
    file, table, out = (tmp_path / name for name in ("rows.json", "table.json", "out"))
    options = ("--device", "cpu", "--tiny", "--results", file, "--json", table)
    trained = ("--market", market, "--epochs", 2, "--out", out)
    done = call(*options, *trained, env=without)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(table.read_text())
    assert {row["result"] for row in rows}.isdisjoint({"open", "failed"})
    assert sum("mAP" in row["result"] for row in rows) == 1
    assert (out / "model.safetensors").exists()
    assert len((out / "epochs.csv").read_text().splitlines()) == 3

    import gpu

    monkeypatch.setattr(sys, "argv", ["gpu.py", *map(str, (*options, *trained))])
    gpu.main()
    assert "== " not in capsys.readouterr().out, "finished rows are not measured again"
    assert json.loads(table.read_text()) == rows


def test_training_images_are_enough_for_the_market_row(market, tmp_path):
    from gpu import ROWS
    from gpu_setup import Bench

    images = tmp_path / "few"
    images.mkdir()
    (train,) = market.glob("**/bounding_box_train")
    (images / "bounding_box_train").symlink_to(train)
    bench = Bench(torch.device("cpu"), True, tmp_path / "w", tmp_path / "out", images, 1)
    (row,) = ROWS["market"](bench)
    assert row.result == "trained, not evaluated"


def test_a_row_that_fails_is_told_and_the_others_are_measured(tmp_path, monkeypatch, capsys):
    import gpu

    def broken(bench):
        raise ValueError("no such kernel")

    monkeypatch.setitem(gpu.ROWS, "graph", broken)
    file = tmp_path / "rows.json"
    options = ["--device", "cpu", "--tiny", "--rows", "graph,card", "--results", str(file)]
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    with pytest.raises(SystemExit) as end:
        gpu.main()
    assert end.value.code == 1
    rows = json.loads(file.read_text())["rows"]
    assert rows["graph"]["error"] == "ValueError: no such kernel"
    assert "rows" in rows["card"]
    assert "graph |  | failed |  MISSED | ValueError: no such kernel" in capsys.readouterr().out

    monkeypatch.setitem(gpu.ROWS, "graph", gpu.card)
    gpu.main()
    assert "error" not in json.loads(file.read_text())["rows"]["graph"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_card_it_says_so(monkeypatch, capsys):
    import gpu

    monkeypatch.setattr(sys, "argv", ["gpu.py", "--rows", "card"])
    with pytest.raises(SystemExit) as end:
        gpu.main()
    assert end.value.code == 2
    assert capsys.readouterr().out == (
        "There is no CUDA device here: give --device cpu --tiny to try the script.\n"
    )


def test_measured_rows_are_rendered_beside_open_ones(tmp_path, monkeypatch):
    import run

    entry = {"machine": "one H200", "seconds": 3.0, "peak_gib": 1.25}
    row = {"what": "copy", "size": "", "result": "4,000 GB/s", "target": "", "met": None}
    measured = {"rows": {"card": entry | {"rows": [row | {"detail": ""}]}}}
    (tmp_path / "rows.json").write_text(json.dumps(measured))
    monkeypatch.setattr(run, "STORE", tmp_path / "results.json")
    monkeypatch.setattr(run, "RESULTS", tmp_path / "RESULTS.md")
    run.take_measured(tmp_path / "rows.json")
    text = (tmp_path / "RESULTS.md").read_text()
    assert "## gpu\n\none H200; " in text
    assert "| copy |  | 4,000 GB/s |  |  | peak 1.2 GiB on the card; one H200 |" in text
    assert "| resnet50 |  | open |" in text


@pytest.mark.parametrize("kind", [torch.nn.BatchNorm2d, BatchNormAct2d])
def test_our_kernels_for_plain_norms_are_those_norms(kind):
    from literal_norm import by_our_kernels

    torch.manual_seed(0)
    x, weight = torch.randn(8, 3, 5, 4, requires_grad=True), torch.randn(8, 3, 5, 4)
    found = []
    for turn in (lambda network: network, by_our_kernels):
        network = turn(torch.nn.Sequential(kind(3)))
        y = network(x)
        gradients = torch.autograd.grad((y * weight).sum(), [x, network[0].weight, network[0].bias])
        found.append([y, *gradients, network[0].running_mean, network[0].running_var])
    for plain, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-5, rtol=1e-5)


def test_one_norm_a_group_is_the_grouped_norm():
    from literal_norm import literal_groups

    torch.manual_seed(0)
    x = torch.randn(12, 3, 5, 4, requires_grad=True)
    weight = torch.randn(12, 3, 5, 4)
    found = []
    for turn in (literal_groups, group_batchnorm):
        network = turn(torch.nn.Sequential(torch.nn.BatchNorm2d(3)), 4)
        (network(x) * weight).sum().backward()
        found.append([x.grad.clone(), network[0].running_mean, network[0].running_var])
        x.grad = None
    for literal, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, literal, atol=1e-5, rtol=1e-5)
