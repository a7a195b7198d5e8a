"""Files that do not belong together: each stage refuses them, and nothing else."""

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import pytest

from mprd.artifacts import FEATURES, read_artifact
from mprd.config import Config, load_config
from mprd.errors import FINAL, UserError
from mprd.gcn.weights import load_gcn, save_gcn
from mprd.models.weights import load_network
from mprd.pipeline.files import file_name, output_arguments
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.lineage import Lineage
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES, stage
from mprd.stages.run_stage import run_stage
from tests.artifacts.edit import edit
from tests.stages.pipeline import arguments, changed, label, start, train

# Stage, file that records its inputs (by keyword) -> inputs that must be the files at hand.
REFUSED = {
    ("init", "pixels"): "index",
    ("features", "pixels"): "index",
    ("graph", "features"): "index",
    ("transitions", "graph"): "index",
    ("ranks", "features"): "index",
    ("draft", "graph"): "index",
    ("draft", "transitions"): "index graph",
    ("metadata", "pixels"): "index",
    ("metadata", "features"): "index pixels model",
    ("metadata", "graph"): "index pixels model features",
    ("pretrain", "pixels"): "index",
    ("pretrain", "features"): "index pixels model",
    ("pretrain", "graph"): "index pixels model features",
    ("pretrain", "doubtful"): "index pixels model features graph",
    ("pretrain", "metadata"): "index pixels model features graph",
    ("pretrain", "ranks"): "index features",
    ("judge", "features"): "index",
    ("judge", "graph"): "index features",
    ("judge", "provisional_clusters"): "index features graph",
    ("judge", "gcn"): "index",
    ("judge", "ranks"): "index features",
    ("cluster", "graph"): "index",
    ("cluster", "judgements"): "index graph",
    ("cluster", "transitions"): "index graph",
    ("preview", "clusters"): "index",
    ("train", "pixels"): "index",
    ("train", "features"): "index pixels model",
    ("train", "graph"): "index pixels model features",
    ("train", "clusters"): "index pixels model features graph",
    ("train", "doubtful"): "index pixels model features graph",
    ("train", "previous_clusters"): "index pixels",
    ("train", "gcn"): "index pixels",
    ("train", "ranks"): "index features",
    ("learn", "pixels"): "index",
    ("learn", "features"): "index pixels model",
    ("learn", "graph"): "index pixels model features",
    ("learn", "doubtful"): "index pixels model features graph",
    ("learn", "metadata"): "index pixels",
    ("learn", "collected"): "index pixels model features graph doubtful gcn ranks",
    ("learn", "gcn"): "index pixels",
    ("learn", "ranks"): "index features",
    ("evaluate", "pixels"): "index",
    ("export", "pixels"): "index",
    ("export", "features"): "index pixels model",
    ("export", "clusters"): "index pixels model features",
}
# Likewise, but made from files of another epoch.
ACCEPTED = {
    ("judge", "gcn"): "features graph ranks",
    ("train", "previous_clusters"): "features graph model",
    ("train", "gcn"): "graph model ranks",
    ("learn", "gcn"): "graph model ranks doubtful metadata gcn",
    ("learn", "metadata"): "features graph model",
}
STEPS: dict[Place, Any] = {Place.STEP: 2, Place.EPOCH: 2, Place.FINAL: FINAL}
STEPS[Place.EVALUATION] = "002"


def cases(table: dict[tuple[str, str], str]) -> list[tuple[str, str, str]]:
    return [(*key, parent) for key, parents in table.items() for parent in parents.split()]


@pytest.fixture(scope="module")
def config(judged_run) -> Config:
    """Of a finished run in which every file is read."""
    config = load_config(judged_run.config)
    return changed(config, graph={"cameras": "center"})


def files(name: str, run: RunLayout, config: Config, out: Path) -> dict[str, Any]:
    """The arguments of a stage in epoch 2; it writes into another folder."""
    one = stage(name)
    step = STEPS.get(one.place)
    given = arguments(name, run.folder, config, step)
    for keyword in output_arguments(one, run, step, config):
        given[keyword] = out if one.folder and keyword == "out" else out / given[keyword].name
    return given | ({"final": True} if step == FINAL and name == "cluster" else {})


def made_from_another(parent: str, path: Path, folder: Path) -> Path:
    """A copy of a file that says it was made from another input."""
    other = folder / path.name
    if path.suffix == ".safetensors":
        network, header = load_gcn(path, 192)
        inputs = json.loads(header["inputs"])
        assert parent in inputs
        save_gcn(other, network, config={}, inputs=inputs | {parent: "0" * 64}, seed=0)
        return other
    shutil.copy(path, other)

    def change(file: h5py.File) -> None:
        inputs = json.loads(file.attrs["inputs"])
        assert parent in inputs, inputs
        file.attrs["inputs"] = json.dumps(inputs | {parent: "0" * 64})

    edit(other, change)
    return other


@pytest.mark.parametrize(("name", "child", "parent"), cases(REFUSED))
def test_a_file_made_from_another_is_refused(judged_run, config, tmp_path, name, child, parent):
    out = tmp_path / "out"
    given = files(name, judged_run, config, out)
    given[child] = made_from_another(parent, given[child], tmp_path)
    role = next(read.role for read in stage(name).reads if read.name == parent)
    kind = file_name(role) or given[parent].name
    says = f"{given[child]} was made from another {kind} than {given[parent]}: it is stale"
    with pytest.raises(UserError) as error:
        stage(name).function()(**given)
    assert str(error.value).startswith(says)
    assert "again with `mprd " in str(error.value)
    assert not out.exists()


@pytest.mark.parametrize(("name", "child", "parent"), cases(ACCEPTED))
def test_a_file_of_another_epoch_is_read(judged_run, config, tmp_path, name, child, parent):
    out = tmp_path / "out"
    given = files(name, judged_run, config, out)
    given[child] = made_from_another(parent, given[child], tmp_path)
    stage(name).function()(**given)
    assert list(out.iterdir())


@pytest.mark.parametrize("name", ["train", "learn"])
def test_a_gcn_of_another_epoch_than_the_model_is_refused(judged_run, config, tmp_path, name):
    """Both were made from the features of the epoch before."""
    given = files(name, judged_run, config, tmp_path / "out")
    given["gcn"] = made_from_another("features", given["gcn"], tmp_path)
    with pytest.raises(UserError, match="is not the relation GCN of the epoch before"):
        stage(name).function()(**given)
    assert not (tmp_path / "out").exists()


def test_every_stage_is_in_the_table(judged_run, config):
    """Every file that records inputs, but that of an only parent that the stage does not read."""
    expected = set()
    for one in STAGES:
        if one.name in ("synthesize", "table", "report"):
            continue
        given = arguments(one.name, judged_run.folder, config, STEPS.get(one.place))
        names = {read.name for read in one.reads} & set(given)
        for child in names - {"index", "model", "state"}:
            if recorded(given[child]) & (names - {child}):
                expected.add((one.name, child))
    assert set(REFUSED) == expected


def recorded(path: Path) -> set[str]:
    if path.suffix == ".safetensors":
        return set(json.loads(load_gcn(path, 192)[1]["inputs"]))
    with h5py.File(path) as file:
        return set(json.loads(file.attrs["inputs"]))


@pytest.fixture(scope="module")
def other_model(tmp_path_factory, tiny_config, market) -> Path:
    """The initial model of a run on other images."""
    crops = market / "market1501/Market-1501-v15.09.15/bounding_box_test"
    folder = tmp_path_factory.mktemp("elsewhere")
    start(folder, changed(tiny_config, data={"dataset": "folder", "root": str(crops)}))
    return RunLayout(folder).initial_model


def test_a_model_from_another_data_set_is_used(tmp_path, tiny_config, other_model):
    """It begins an epoch, is evaluated, and is exported, as long as the features are its own."""
    run = RunLayout(tmp_path / "run")
    start(run.folder, tiny_config)
    shutil.copy(other_model, run.initial_model)
    label(run.folder, 1, tiny_config)
    features = read_artifact(run.epoch(1).features, FEATURES)
    assert features.inputs["model"] == load_network(other_model)[1]["digest"]
    train(run.folder, 1, tiny_config)
    run_stage("evaluate", run, tiny_config, step="000")
    once = changed(tiny_config, epochs=1)
    shutil.copy(other_model, run.epoch(1).model)
    for name in ("features", "graph", "cluster", "export"):
        run_stage(name, run, once, step=FINAL)
    assert run.final.table.is_file()


def test_the_file_that_came_first_is_checked_too(tmp_path):
    """The order of reading does not matter."""
    for order in (("index", "graph"), ("graph", "index")):
        lineage = Lineage("cluster")
        records = {"index": {}, "graph": {"index": "another"}}
        first, second = order
        lineage.add(first, tmp_path / first, f"digest of {first}", records[first], "x")
        with pytest.raises(UserError, match=r"graph was made from another index.h5 than .*index: "):
            lineage.add(second, tmp_path / second, f"digest of {second}", records[second], "x")
    lineage = Lineage("cluster")
    lineage.add("graph", tmp_path / "graph", "g", {"index": "i", "unknown": "u"}, "graph")
    lineage.add("index", tmp_path / "index", "i", {}, "index")
    assert lineage.digests == {"graph": "g", "index": "i"}
