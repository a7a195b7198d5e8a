"""Stage `learn`: the relation GCN learns from an epoch, on its own."""

import json
import shutil

import numpy as np
import pytest
import torch

from mprd.artifacts import COLLECTED, read_artifact
from mprd.config import load_config
from mprd.errors import UserError
from mprd.gcn.weights import load_gcn
from mprd.pipeline.layout import RunLayout
from mprd.stages.judge import run_judge
from mprd.stages.learn import run_learn
from mprd.stages.train import run_train
from tests.artifacts.edit import edit, put
from tests.stages.pipeline import arguments, changed

STAGES = {"learn": run_learn, "train": run_train}
OTHERS = ["features", "graph", "provisional_clusters", "collected"]


@pytest.fixture(scope="module")
def config(judged_run):
    return load_config(judged_run.config)


@pytest.fixture
def copy(judged_run, tmp_path):
    return RunLayout(shutil.copytree(judged_run.folder, tmp_path / "run"))


def losses(run: RunLayout, epoch: int) -> dict[str, list[float]]:
    report = json.loads(run.epoch(epoch).gcn_metrics.read_text())
    assert report["schema"] == "mprd.learning"
    return report["loss"]


def digest(run: RunLayout, epoch: int) -> str:
    return load_gcn(run.epoch(epoch).gcn, 192)[1]["digest"]


def test_alone_it_gives_the_same_bytes(copy, config):
    """And writes only its own files."""
    torch.rand(7)
    here = copy.epoch(2)
    before = {path: path.read_bytes() for path in copy.folder.rglob("*") if path.is_file()}
    for path in (here.gcn, here.gcn_metrics):
        path.unlink()
    run_learn(**arguments("learn", copy.folder, config, 2))
    assert {p: p.read_bytes() for p in copy.folder.rglob("*") if p.is_file()} == before
    _, header = load_gcn(here.gcn, 192)
    inputs = json.loads(header["inputs"])
    assert inputs["collected"] == read_artifact(here.collected, COLLECTED).digest
    assert inputs["gcn"] == digest(copy, 1)


def test_its_report_holds_the_losses_of_each_source(copy, config):
    found = losses(copy, 1)
    update = config.gcn.update
    assert len(found["metadata"]) == update.metadata
    assert len(found["unlabelled"]) == update.unlabelled
    assert np.isfinite([*found["metadata"], *found["unlabelled"]]).all()


@pytest.mark.parametrize(("of_one_kind", "tasks"), [(True, 0), (False, 1)])
def test_it_learns_from_collected_pairs_of_both_kinds(copy, config, of_one_kind, tasks):
    here, before = copy.epoch(1), digest(copy, 1)
    pairs = np.array([(0, 1), (0, 30), (1, 2), (3, 40), (5, 6), (7, 50)])
    same = np.array([1, of_one_kind] * 3, np.uint8)
    for key, values in (("pairs", pairs), ("same", same)):
        edit(here.collected, put(key, values))
    run_learn(**arguments("learn", copy.folder, config, 1))
    found = losses(copy, 1)["collected"]
    assert np.isfinite(found).tolist() == [True] * tasks
    once = digest(copy, 1)
    assert tasks == 0 or once != before
    run_learn(**arguments("learn", copy.folder, config, 1))
    assert digest(copy, 1) == once


@pytest.mark.parametrize("change", [{"update": {"unlabelled": 1}}, {"inner_rate": 0.5}])
def test_other_settings_give_another_network(copy, config, change):
    before = digest(copy, 2)
    run_learn(**arguments("learn", copy.folder, changed(config, gcn=change), 2))
    assert digest(copy, 2) != before


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_another_epoch_is_refused(judged_run, config, tmp_path, name):
    out = {"out": tmp_path / "gcn.safetensors", "metrics": tmp_path / "gcn.json"}
    other = {
        "doubtful" if name == "provisional_clusters" else name: getattr(judged_run.epoch(1), name)
    }
    given = arguments("learn", judged_run.folder, config, 2) | out | other
    with pytest.raises(UserError, match=r"was made from another [\w.]+ than .* again with `mprd"):
        run_learn(**given)
    assert not any(path.exists() for path in out.values())


def gcn_of(run: RunLayout, which: int):
    return run.epoch(which).gcn if which else run.initial_gcn


@pytest.mark.parametrize(
    ("stage", "epoch", "which"),
    [(stage, epoch, which) for stage in STAGES for epoch, which in ((1, 1), (1, 2), (2, 2))]
    + [("learn", 2, 0)],
)
def test_a_gcn_of_another_epoch_is_refused(copy, config, stage, epoch, which):
    """Training takes the pre-trained one in every epoch: without `gcn.learn` there is no other."""
    wrong = gcn_of(copy, which)
    given = arguments(stage, copy.folder, config, epoch) | {"gcn": wrong}
    before = copy.epoch(epoch).gcn.read_bytes()
    with pytest.raises(UserError, match=f"{wrong} is not the relation GCN of the epoch before"):
        STAGES[stage](**given)
    assert copy.epoch(epoch).gcn.read_bytes() == before


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_gcn_does_not_predict_in_the_epoch_that_it_learned_from(copy, config, epoch):
    given = arguments("judge", copy.folder, config, epoch) | {"gcn": copy.epoch(epoch).gcn}
    with pytest.raises(UserError, match="has learned from this epoch"):
        run_judge(**given)
