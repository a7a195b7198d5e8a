"""Data from which little can be learnt: a result, or one clear sentence."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.config import Config, dump_yaml, merge, validate
from mprd.errors import UserError
from mprd.models.network import build_network
from mprd.models.weights import save_network
from mprd.pipeline.layout import RunLayout
from mprd.stages.evaluate import run_evaluate
from mprd.stages.index import run_index
from mprd.stages.pixels import run_pixels
from mprd.stages.report import run_report
from mprd.stages.table import run_table
from tests.conftest import TINY
from tests.stages.pipeline import GCN, JUDGED, export, finish

PLAIN = {"train": {"use_hsd": False, "use_ppa": False}, "epochs": 1}


def crops(folder: Path, identities: int, images: int, *, alike: bool = False) -> Path:
    """Write images of two-coloured stripes; `alike`: all images are the same."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 255, (identities, 2, 3)).astype(float)
    for who in range(identities):
        for shot in range(images):
            stripes = np.repeat(colors[0 if alike else who], 16, axis=0)[:, None].repeat(16, 1)
            noise = 0 if alike else rng.normal(0, 12, stripes.shape)
            picture = (stripes + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(picture).save(folder / f"{who:02d}_c{shot % 2}_{shot}.png")
    return folder


def configured(root: Path, **changes) -> Config:
    values = merge(TINY, PLAIN)
    values = merge(values, {"data": {"dataset": "folder", "root": str(root)}})
    return validate(merge(values, changes), "degenerate")


@pytest.mark.parametrize("images", [1, 2, 3])
def test_a_handful_of_images(tmp_path, images):
    root = crops(tmp_path / "crops", 1, images)
    with pytest.raises(UserError, match=r"training needs two|at least|images"):
        finish(tmp_path / "run", configured(root, init={"method": "random"}))


def test_all_images_are_the_same(tmp_path):
    root = crops(tmp_path / "crops", 4, 4, alike=True)
    with pytest.raises(UserError, match=r"found 1 cluster at eps .*training needs two"):
        finish(tmp_path / "run", configured(root, init={"method": "random"}))


def test_every_identity_alone(tmp_path):
    root = crops(tmp_path / "crops", 16, 1)
    config = configured(root, cluster={"eps": 0.05, "min_samples": 9}, init={"method": "random"})
    with pytest.raises(UserError, match=r"found 0 clusters at eps .*training needs two"):
        finish(tmp_path / "run", config)


def test_more_neighbours_are_asked_than_there_are(tmp_path):
    """k1 and k2 above the number of images: all of them are neighbours."""
    root = crops(tmp_path / "crops", 4, 6)
    config = configured(root, graph={"k1": 200, "k2": 100}, cluster={"eps": 0.3})
    with pytest.raises(UserError, match=r"found \d clusters? at eps"):
        finish(tmp_path / "run", config)


def test_one_camera(tmp_path):
    root = crops(tmp_path / "crops", 5, 6)
    config = configured(
        root,
        data={"camera": r"_(c)\d"},
        graph={"cameras": "standardize"},
        train={"memory": "camera"},
    )
    run = finish(tmp_path / "run", config)
    assert set(pd.read_csv(run.final.table)["camera"]) == {"c"}


JUDGING = {**GCN, "cluster": JUDGED}
FEW = {
    "none": {"cluster": {"eps": 0.001, "min_samples": 20}},
    "one": {"cluster": {"eps": 0.9}, "graph": {"k1": 50, "eps_max": 0.95}},
    "none judged": {"cluster": {"min_size": 50}},
    "one judged": {
        "cluster": {"gamma": 0.0001, "eps": 0.9},
        "graph": {"k1": 50, "eps_max": 0.95},
    },
}


@pytest.fixture(scope="module")
def trained_run(market, tmp_path_factory):
    """Return a function: a finished run with some settings, and all its settings."""
    values = merge(merge(TINY, PLAIN), {"data": {"root": str(market)}})

    @functools.cache
    def train(judged):
        own = merge(values, JUDGING if judged else {})
        folder = tmp_path_factory.mktemp("trained") / "run"
        return finish(folder, validate(own, "trained")).folder, own

    return train


@pytest.mark.parametrize("case", FEW)
def test_the_last_model_finds_no_two_clusters(trained_run, tmp_path, capsys, case):
    """The export writes what there is, and so does the report."""
    folder, values = trained_run(case.endswith("judged"))
    run = RunLayout(shutil.copytree(folder, tmp_path / "run", symlinks=True))
    config = validate(merge(values, FEW[case]), "exported")
    export(run, config)
    run.config.write_text(dump_yaml(config))
    count = 1 if case.startswith("one") else 0
    assert len(read_artifact(run.final.clusters, CLUSTERS)["sizes"]) == count
    table = pd.read_csv(run.final.table)
    assert len(table) == 54
    assert table["cluster"][table["cluster"] >= 0].nunique() == count
    assert f"Warning: {config.cluster.method} found {count} cluster" in capsys.readouterr().out
    run_report(run=run.folder, out=run.report)
    assert "Figures without labels" in run.report.read_text()


def test_a_data_set_without_training_images(judged_run, tmp_path):
    """A model of another run can be evaluated on it."""
    index = read_artifact(judged_run.index, INDEX)
    rows = [
        (f"{index.attributes['root']}/{path}", ("train", "query", "gallery")[split], who, camera)
        for path, split, who, camera in zip(
            index["path"], index["split"], index["identity"], index["camera"], strict=True
        )
        if split
    ]
    table = pd.DataFrame(rows, columns=["path", "split", "identity", "camera"])
    table.to_csv(tmp_path / "test.csv", index=False)
    config = configured(tmp_path / "test.csv", data={"allow_outside": True})
    paths = {"index": tmp_path / "i.h5", "pixels": tmp_path / "p.h5"}
    run_index(out=paths["index"], config=config)
    run_pixels(index=paths["index"], out=paths["pixels"], config=config)
    run_evaluate(
        **paths,
        model=judged_run.epoch(2).model,
        out=tmp_path / "e.json",
        rankings=tmp_path / "r.h5",
        config=config,
    )
    expected = json.loads(judged_run.evaluation("002").read_text())["mAP"]
    assert json.loads((tmp_path / "e.json").read_text())["mAP"] == pytest.approx(expected)
    with pytest.raises(UserError, match="lists no training images: a model can be evaluated"):
        finish(tmp_path / "run", config)


def test_an_absurd_learning_rate(tmp_path):
    root = crops(tmp_path / "crops", 5, 6)
    with pytest.raises(UserError, match=r"NaN|infinite"):
        finish(tmp_path / "run", configured(root, train={"lr": 1e30, "iters": 20}))


def test_the_table_of_a_run_without_an_epoch(tmp_path):
    with pytest.raises(UserError, match="holds no complete epoch"):
        run_table(run=tmp_path, out=tmp_path / "m.csv")


LAST_STEP = {
    "train": {"train": {"lr": 1e30, "iters": 1}},
    "warm-up": {"init": {"method": "warmup", "warmup": {"lr": 1e30, "steps": 1, "batch_size": 8}}},
}


@pytest.mark.parametrize("case", LAST_STEP)
def test_the_last_step_diverges(tmp_path, case):
    """Its loss is finite, what it leaves is not: nothing is written, and no later stage is told."""
    root = crops(tmp_path / "crops", 5, 6)
    with pytest.raises(UserError, match=r"has diverged: .* Lower (train|init\.warmup)\.lr \(now"):
        finish(tmp_path / "run", configured(root, **LAST_STEP[case]))
    left = {path.name for path in (tmp_path / "run").glob("epochs/*/*")}
    assert not left & {"model.safetensors", "state.pt", "metrics.json"}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["weight", "running_mean", "running_var"])
def test_weights_that_are_not_finite_are_not_written(tmp_path, name, value):
    network = build_network(configured(tmp_path), 32, 16, pretrained=False)
    key = next(key for key in network.state_dict() if key.endswith(name))
    network.state_dict()[key].view(-1)[0] = value
    with pytest.raises(UserError, match=f"is not written: its {key} holds NaN or infinite"):
        save_network(tmp_path / "m.safetensors", network, config={}, inputs={}, seed=0)
    assert not list(tmp_path.iterdir())
