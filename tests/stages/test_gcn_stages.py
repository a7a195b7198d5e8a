"""Metadata, pre-training, and epochs with the relation GCN, in process."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from mprd.artifacts import CLUSTERS, COLLECTED, INDEX, METADATA, RELATIONS, read_artifact
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.errors import UserError
from mprd.gcn.filter import RelationFilter
from mprd.gcn.weights import load_gcn, save_gcn
from mprd.models.weights import load_network
from mprd.stages.learn import run_learn
from mprd.stages.pairs import run_pairs
from mprd.stages.table import run_table
from mprd.stages.train import run_train
from tests.artifacts import edit as artifact_edit
from tests.stages.pipeline import GCN, arguments, changed, label, metadata, pretrain, start, train

STAGES = {"train": run_train, "learn": run_learn}


@pytest.fixture(scope="module")
def config(tiny_config) -> Config:
    return changed(tiny_config, **GCN)


@pytest.fixture(scope="module")
def run(tmp_path_factory, config):
    """A complete run of two epochs with the GCN."""
    folder = tmp_path_factory.mktemp("gcn")
    start(folder, config)
    label(folder, 1, config)
    train(folder, 1, config)
    label(folder, 2, config)
    train(folder, 2, config)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_metadata_of_views(run, config):
    found = read_artifact(run / "gcn/metadata.h5", METADATA)
    assert len(set(found["row"].tolist())) == 3
    assert found["row"].tolist() == found["row"][::4].repeat(4).tolist()
    assert found["view"].tolist() == [0, 1, 2, 3] * 3
    assert found["pixels"].shape == (12, 32, 16, 3)
    assert len({p.tobytes() for p in found["pixels"]}) == 12, "the views differ"
    assert found["same"].sum() == 3 * 6
    assert -1 < found.attributes["max_similarity"] < 1
    norms = np.linalg.norm(found["features"], axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-5)


def test_pretraining_reports_losses_and_held_out_quality(run):
    report = json.loads((run / "gcn/metrics.json").read_text())
    assert [len(report["loss"][name]) for name in ("metadata", "unlabelled")] == [2, 3]
    assert report["held_out"]["pairs"] > 0
    assert {"accuracy", "precision", "recall"} <= set(report["held_out"])
    assert 0 <= report["truth"]["auc"] <= 1
    assert report["pairs"]["unlabelled"]["same"] > 0


def test_relations_hold_every_hard_pair(run, config):
    """The pairs judged in epoch 2 are those whose relation differs between the two clusterings."""
    labels = [read_artifact(run / f"epochs/00{e}/clusters.h5", CLUSTERS)["labels"] for e in (1, 2)]
    before, now = (
        (x[:, None] == x[None]) & (x >= 0)[:, None] | np.eye(len(x), dtype=bool) for x in labels
    )
    found = read_artifact(run / "epochs/002/relations.h5", RELATIONS)
    i, j = found["i"], found["j"]
    assert (now[i, j] == found["now"]).all()
    assert (before[i, j] == found["before"]).all()
    assert (found["now"] != found["before"]).all()
    assert len(i) > 0
    anchors = np.unique(i)
    for anchor in anchors.tolist():
        judged = set(j[i == anchor].tolist())
        assert judged == set(np.flatnonzero(now[anchor] != before[anchor]).tolist())
    first = read_artifact(run / "epochs/001/relations.h5", RELATIONS)
    assert first["now"].all(), "in epoch 1 nothing precedes"
    assert first.attributes["negatives"] == 0
    assert first.attributes["positives"] == len(first["i"])
    index = read_artifact(run / "index.h5", INDEX)
    who = index["identity"][split_rows(index, "train")]
    assert (first["same"] == (who[first["i"]] == who[first["j"]])).all()
    report = json.loads((run / "epochs/001/metrics.json").read_text())["relations"]
    assert report["positives_kept"] == first["kept"].sum()


def test_the_gcn_learns_and_is_passed_on(run):
    names = ["gcn/pretrained", "epochs/001/gcn", "epochs/002/gcn"]
    weights = [load_gcn(run / f"{name}.safetensors", 192) for name in names]
    digests = [header["digest"] for _, header in weights]
    assert len(set(digests)) == 3
    assert json.loads(weights[1][1]["inputs"])["gcn"] == digests[0]
    assert json.loads(weights[2][1]["inputs"])["gcn"] == digests[1]


def test_without_learning_it_stays(copy, run, config):
    """No epoch writes another: the pre-trained one filters in epoch 2, too."""
    still = changed(config, gcn={"learn": False})
    learnt = [copy / f"epochs/{epoch}/gcn.safetensors" for epoch in ("001", "002")]
    for epoch, path in enumerate(learnt, start=1):
        path.unlink()
        train(copy, epoch, still)
    assert not any(path.exists() for path in learnt)
    pretrained = load_gcn(run / "gcn/pretrained.safetensors", 192)[1]["digest"]
    for epoch in ("001", "002"):
        relations = read_artifact(copy / f"epochs/{epoch}/relations.h5", RELATIONS)
        assert relations.inputs["gcn"] == pretrained


def test_the_same_inputs_give_the_same_bytes(copy, run, config):
    """Metadata, pre-training and an epoch are each made again, the epoch in a spoilt process."""
    torch.rand(7)
    shutil.rmtree(copy / "gcn")
    metadata(copy, config)
    pretrain(copy, config)
    train(copy, 2, config)
    weights = [f"{name}.safetensors" for name in ("gcn/pretrained", "epochs/002/gcn")]
    for name in (*weights, "epochs/002/model.safetensors", "epochs/002/gcn.json"):
        assert (copy / name).read_bytes() == (run / name).read_bytes(), name
    for name, schema in (
        ("gcn/metadata.h5", METADATA),
        ("epochs/002/relations.h5", RELATIONS),
        ("epochs/002/collected.h5", COLLECTED),
    ):
        first, second = (read_artifact(f / name, schema).digest for f in (run, copy))
        assert first == second, name


def test_training_uses_what_the_filter_keeps(copy, run, config, monkeypatch):
    """The same judgements and draws, but only every third positive kept: other weights."""
    judge = RelationFilter.__call__

    def keep_some(self, pairs, generator):
        keep, keep_negative = judge(self, pairs, generator)
        return (torch.arange(keep.numel()) % 3 == 0).view_as(keep), keep_negative

    monkeypatch.setattr(RelationFilter, "__call__", keep_some)
    train(copy, 1, config)
    digests = [load_network(f / "epochs/001/model.safetensors")[1]["digest"] for f in (run, copy)]
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    "change",
    [
        {"node_features": "raw"},
        {"unlabelled": {"source": "views", "images": 54}},
        {"unlabelled": {"source": "strict", "strict": 0.3}},
    ],
    ids=["raw", "views", "strict"],
)
def test_other_sources_and_features(copy, config, change):
    other = changed(config, gcn=change)
    pretrain(copy, other)
    train(copy, 1, other)
    losses = json.loads((copy / "epochs/001/gcn.json").read_text())["loss"]
    assert len(losses["unlabelled"]) == 2
    assert np.isfinite(losses["unlabelled"]).all()


def test_the_table_shows_the_filter(copy):
    run_table(run=copy, out=copy / "metrics.csv")
    table = pd.read_csv(copy / "metrics.csv", dtype={"model": str})
    report = json.loads((copy / "epochs/001/metrics.json").read_text())["relations"]
    row = table[table["model"] == "1"].iloc[0]
    assert row["pos_prec"] == pytest.approx(report["positive_precision"], abs=1e-5)
    assert row["pos_prec_kept"] == pytest.approx(report["positive_precision_kept"], abs=1e-5)


def training_paths(run):
    index = read_artifact(run / "index.h5", INDEX)
    rows = split_rows(index, "train")
    return index["path"][rows], index["identity"][rows]


def test_pairs_are_written_judged_and_learnt_from(copy, config, tmp_path, capsys):
    out = tmp_path / "pairs.csv"
    run_pairs(run=copy, out=out, count=40)
    table = pd.read_csv(out, dtype=str)
    assert list(table.columns) == ["path_a", "path_b", "same"]
    assert len(table.drop_duplicates()) == 40
    assert table["same"].isna().all()
    paths, identity = training_paths(copy)
    who = dict(zip(paths, identity, strict=True))
    labels = dict(
        zip(paths, read_artifact(copy / "epochs/002/clusters.h5", CLUSTERS)["labels"], strict=True)
    )
    assert (table["path_a"].map(labels) == table["path_b"].map(labels)).all(), "doubtful: together"
    same = table["path_a"].map(who) == table["path_b"].map(who)
    assert 0.05 < same.mean() < 0.95, "both answers are likely"
    table["same"] = same.astype(int)
    table.to_csv(out, index=False)
    with pytest.raises(UserError, match="may hold judgements"):
        run_pairs(run=copy, out=out, count=40)
    judged = changed(config, gcn={"metadata": {"source": "pairs", "file": str(out)}})
    metadata(copy, judged)
    found = read_artifact(copy / "gcn/metadata.h5", METADATA)
    assert len(found["pixels"]) == 0
    assert found["same"].sum() == same.sum()
    answers = identity[found["row"]][found["pairs"]]
    assert ((answers[:, 0] == answers[:, 1]) == found["same"].astype(bool)).all()
    pretrain(copy, judged)
    train(copy, 1, judged)


def test_labels_are_learnt_from(copy, config, tmp_path):
    paths, identity = training_paths(copy)
    chosen = np.isin(identity, [1, 2, 3])
    out = tmp_path / "labels.csv"
    pd.DataFrame({"path": paths[chosen], "identity": identity[chosen]}).to_csv(out, index=False)
    labelled = changed(config, gcn={"metadata": {"source": "labels", "file": str(out)}})
    metadata(copy, labelled)
    found = read_artifact(copy / "gcn/metadata.h5", METADATA)
    answers = identity[found["row"]][found["pairs"]]
    assert ((answers[:, 0] == answers[:, 1]) == found["same"].astype(bool)).all()
    assert found["same"].sum() == 3 * 9 * 8 // 2
    pretrain(copy, labelled)


def test_more_pairs_than_there_are(run, tmp_path):
    with pytest.raises(UserError, match=r"holds \d+ doubtful pairs, 100000 are asked for"):
        run_pairs(run=run, out=tmp_path / "p.csv", count=100_000)
    with pytest.raises(UserError, match="does not hold the clusters of epoch 7"):
        run_pairs(run=run, out=tmp_path / "p.csv", count=5, epoch=7)


def test_more_images_than_there_are(copy, config):
    out = copy / "fewer.h5"
    metadata(copy, changed(config, gcn={"metadata": {"images": 30}}), out)
    found = read_artifact(out, METADATA)
    chosen = np.unique(found["row"])
    assert 2 <= len(chosen) <= 18, "the largest camera has 18 images"
    assert found["view"].tolist() == [*range(4)] * len(chosen)


def edit(path, **attributes):
    artifact_edit.edit(path, lambda file: file.attrs.update(attributes))


def test_metadata_of_another_data_set(copy, config):
    path = copy / "gcn/metadata.h5"
    edit(path, inputs=json.dumps({"index": "0" * 64}))
    for stage in (lambda: pretrain(copy, config), lambda: train(copy, 1, config)):
        with pytest.raises(UserError, match=r"metadata\.h5 was made from another index"):
            stage()


def test_metadata_of_another_width(copy, config):
    path = copy / "gcn/metadata.h5"
    narrow = read_artifact(path, METADATA)["features"][:, :10]
    artifact_edit.edit(path, artifact_edit.put("features", narrow))
    with pytest.raises(UserError, match="embeddings of size 10, the model makes 192"):
        train(copy, 1, config)


def test_metadata_of_another_model(copy, config):
    path = copy / "gcn/metadata.h5"
    inputs = json.loads(h5py.File(path).attrs["inputs"])
    edit(path, inputs=json.dumps({**inputs, "model": "0" * 64}))
    with pytest.raises(UserError, match=r"metadata\.h5 was made from another model"):
        pretrain(copy, config)


def test_node_features_are_those_of_the_network(copy, config):
    """The config of an epoch does not say how a pre-trained network looks at nodes."""
    train(copy, 1, changed(config, gcn={"node_features": "raw"}))


def test_gcn_of_another_width(copy, config):
    raw = changed(config, gcn={"node_features": "raw"})
    pretrain(copy, raw)
    with pytest.raises(UserError, match="reads 192 raw node features, here are 64"):
        load_gcn(copy / "gcn/pretrained.safetensors", 64)


@pytest.mark.parametrize("stage", ["train", "learn"])
def test_gcn_of_another_data_set(copy, config, tmp_path, stage):
    files = arguments(stage, copy, config, 1)
    network, _ = load_gcn(files["gcn"], 192)
    index, other = read_artifact(copy / "index.h5", INDEX), tmp_path / "other.safetensors"
    save_gcn(other, network, config={}, inputs={"index": index.digest[::-1]}, seed=0)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    message = r"other\.safetensors was made from another index.h5 than .*`mprd pretrain`"
    with pytest.raises(UserError, match=message):
        STAGES[stage](**files | {"gcn": other})
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_files_and_switch_go_together(run, config, tmp_path):
    files = arguments("train", run, config, 1) | {"out": tmp_path}
    for name, option in (("graph", "--graph"), ("doubtful", "--drafts"), ("gcn", "--gcn")):
        with pytest.raises(
            UserError, match=f"`mprd train` needs {option}: the config sets use_gcn"
        ):
            run_train(**files | {name: None})
        alone = files | dict.fromkeys(("graph", "doubtful", "gcn")) | {name: files[name]}
        with pytest.raises(UserError, match=f"{option} goes with use_gcn, .* does not set"):
            run_train(**alone | {"config": changed(config, use_gcn=False)})
    assert not list(tmp_path.glob("[!.]*")), "nothing but the lock"


def test_no_doubtful_pairs_to_learn_from(copy, config):
    far = changed(config, gcn={"unlabelled": {"negative_rank": 120}})
    with pytest.raises(UserError, match=r"positive and 0 negative unlabelled pairs"):
        pretrain(copy, far)
