"""The code digest of a stage: which modules it covers, and that it is the same in every process."""

import os
import subprocess
import sys

import pytest

from mprd.config import Config
from mprd.pipeline import code_digest as digests
from mprd.pipeline.stages import STAGES
from tests.stages.pipeline import changed

DGCNN = {"use_gcn": True, "gcn": {"neighbors": 3}}
GATV2 = {"use_gcn": True, "gcn": {"neighbors": 3, "network": "gatv2"}}
NAMES = tuple(one.name for one in STAGES)


def covered(stage, config, monkeypatch):
    """Modules whose code the digest of a stage reads."""
    seen = []
    monkeypatch.setattr(digests, "_code", lambda module: seen.append(module) or "")
    digests.code_digest(stage, config)
    return set(seen)


def test_the_same_in_every_process():
    code = (
        "from mprd.config import Config; from mprd.pipeline.code_digest import code_digest;"
        f"print([code_digest(stage, Config()) for stage in {NAMES}])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in range(2)
    }
    assert outputs == {str([digests.code_digest(name, Config()) for name in NAMES]) + "\n"}


@pytest.mark.parametrize(
    ("stage", "change", "inside", "outside"),
    [
        ("index", {}, ["data.datasets.market1501", "data.datasets.flat"], ["data.datasets.veri"]),
        ("index", {"data": {"dataset": "VeRi-776"}}, ["data.datasets.veri"], ["losses.hsd"]),
        ("init", {}, ["models.backbones.mini"], ["models.backbones.resnet", "gcn.judge"]),
        ("cluster", {}, ["clustering.dbscan"], ["graph.jaccard", "config.sections"]),
        ("train", {}, ["losses.hsd", "losses.ppa", "models.backbones.mini"], ["system.ram"]),
        ("train", {"train": {"use_ppa": False}}, ["losses.hsd"], ["losses.ppa"]),
        ("train", {"train": {"use_hsd": False}}, ["losses.cluster_contrast"], ["losses.hsd"]),
        ("draft", {}, ["clustering.dbscan"], ["graph.jaccard"]),
        ("train", DGCNN, ["gcn.filter", "gcn.networks.dgcnn"], ["stages.learn"]),
        ("learn", DGCNN, ["gcn.reptile", "gcn.networks.dgcnn"], ["losses.hsd", "training.epoch"]),
        ("learn", GATV2, ["gcn.networks.gatv2"], ["gcn.networks.dgcnn"]),
        ("pretrain", DGCNN, ["gcn.networks.dgcnn"], ["gcn.networks.gatv2"]),
        ("pretrain", GATV2, ["gcn.networks.gatv2"], ["gcn.networks.dgcnn"]),
        ("evaluate", {}, ["models.backbones.mini"], ["inference.histogram"]),
    ],
)
def test_only_chosen_pieces_count(stage, change, inside, outside, tiny_config, monkeypatch):
    modules = covered(stage, changed(tiny_config, **change), monkeypatch)
    assert {f"mprd.{name}" for name in inside} <= modules
    assert not {f"mprd.{name}" for name in outside} & modules


def test_a_baseline_counts_for_its_own_job():
    histogram, untrained = (
        digests.piece_digest("evaluate.baselines", name, Config())
        for name in ("histogram", "random")
    )
    assert histogram != untrained


def test_comments_and_docstrings_do_not_count(tmp_path, monkeypatch):
    module = tmp_path / "m.py"
    monkeypatch.setattr(digests, "source_file", lambda name: module)
    found = []
    for text in ('"""One."""\nx = 1\n', '"""Two."""\n\nx = 1  # why\n', "x = 2\n"):
        module.write_text(text)
        digests._parsed.cache_clear()
        found.append(digests._code("m"))
    digests._parsed.cache_clear()
    assert found[0] == found[1] != found[2]
