"""The stages one by one, in process: contents, checks, reproducibility."""

import functools
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mprd.artifacts import CLUSTERS, FEATURES, GRAPH, INDEX, RANKINGS, read_artifact, write_artifact
from mprd.artifacts.tensors import read_safetensors
from mprd.config import Config
from mprd.data.images import decode, resize
from mprd.errors import FINAL, UserError
from mprd.graph import center_cameras, knn, standardize_cameras
from mprd.models.weights import SCHEMA, load_network
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.location import require_other
from mprd.report.inspect.describe import describe
from mprd.report.inspect.lookup import cluster_table
from mprd.stages.cluster import run_cluster
from mprd.stages.evaluate import run_evaluate
from mprd.stages.features import run_features
from mprd.stages.graph import run_graph
from mprd.stages.index import run_index
from mprd.stages.init import run_init
from mprd.stages.pixels import run_pixels
from mprd.stages.table import run_summary, run_table
from mprd.stages.train import run_train
from tests.artifacts.edit import edit, put
from tests.stages.pipeline import arguments, changed, export, label, start, train


def evaluate(folder: Path, name: str, config: Config, **kwargs) -> dict:
    out = folder / f"evaluation/{name}.json"
    rankings = folder / f"evaluation/{name}.rankings.h5"
    run_evaluate(
        index=folder / "index.h5",
        pixels=folder / "pixels.h5",
        out=out,
        rankings=rankings,
        config=config,
        **kwargs,
    )
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_config):
    """A complete run of two epochs."""
    folder = tmp_path_factory.mktemp("run")
    start(folder, tiny_config)
    for epoch in (1, 2):
        label(folder, epoch, tiny_config)
        train(folder, epoch, tiny_config)
    evaluate(folder, "000", tiny_config, model=folder / "init/model.safetensors")
    evaluate(folder, "002", tiny_config, model=folder / "epochs/002/model.safetensors")
    return folder


@pytest.fixture
def copy(run, tmp_path):
    """The complete run, free to be damaged."""
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_index_counts_and_order(run):
    index = read_artifact(run / "index.h5", INDEX)
    assert index["split"].tolist() == [0] * 54 + [1] * 9 + [2] * 18
    assert {index.attributes[f"num_{s}"] for s in ("train", "query", "gallery")} == {54, 9, 18}
    assert set(index["identity"][:54]) == set(range(1, 7))
    assert set(index["camera"]) == {0, 1, 2}
    assert index["path"][0].startswith("bounding_box_train/0001_c1s1")
    assert len(set(index["sha256"])) == 81


def test_pixels_are_the_resized_images(run, market):
    index = read_artifact(run / "index.h5", INDEX)
    with h5py.File(run / "pixels.h5") as file:
        assert file["pixels"].chunks is None, "one block, for memory maps and checksums"
        for row in (0, 60, 80):
            image = decode(Path(index.attributes["root"]) / index["path"][row])
            assert np.array_equal(file["pixels"][row], resize(image, 32, 16))


def test_stored_embeddings_can_be_half_as_large(copy, tiny_config, tmp_path):
    """In features.h5 and in what the export leaves; the stages behind read float32."""
    half = changed(tiny_config, features={"dtype": "float16"})
    files = RunLayout(copy)
    out = tmp_path / "half.h5"
    run_features(**arguments("features", copy, half, 1) | {"out": out})
    exact, found = (
        read_artifact(path, FEATURES)["features"] for path in (files.epoch(1).features, out)
    )
    assert 0 < np.abs(exact - found).max() < 2**-11
    run_graph(index=copy / "index.h5", features=out, out=tmp_path / "graph.h5", config=half)
    export(files, half)
    for path in (out, files.final.features, files.final.embeddings):
        with h5py.File(path) as file:
            assert file["features"].dtype == np.float16


def test_features_are_those_of_the_model(run):
    artifact = read_artifact(run / "epochs/002/features.h5", FEATURES)
    assert artifact["features"].shape == (54, 192)
    assert np.allclose(np.linalg.norm(artifact["features"], axis=1), 1, atol=1e-5)
    _, header = load_network(run / "epochs/001/model.safetensors")
    assert artifact.inputs["model"] == header["digest"]


def test_clusters_record_their_agreement_with_the_identities(run):
    clusters = read_artifact(run / "epochs/001/clusters.h5", CLUSTERS)
    labels = clusters["labels"]
    assert clusters["sizes"].tolist() == np.bincount(labels[labels >= 0]).tolist()
    assert clusters.attributes["num_outliers"] == int((labels < 0).sum())
    assert 0 < clusters.attributes["nmi"] <= 1
    same = read_artifact(run / "index.h5", INDEX)["identity"][:54]
    pairs = [(i, j) for i in range(54) for j in range(i) if labels[i] == labels[j] >= 0]
    right = sum(same[i] == same[j] for i, j in pairs)
    assert clusters.attributes["pair_precision"] == pytest.approx(right / len(pairs))


def test_training_changes_the_model_and_reports(run):
    metrics = json.loads((run / "epochs/002/metrics.json").read_text())
    assert metrics["epoch"] == 2
    assert len(metrics["step_loss"]) == 3
    assert metrics["ppa_loss"] >= 0
    before, _ = load_network(run / "epochs/001/model.safetensors")
    after, _ = load_network(run / "epochs/002/model.safetensors")
    assert not torch.equal(before.backbone.conv1.weight, after.backbone.conv1.weight)


def test_an_epoch_run_again_gives_the_same_bytes(copy, run, tiny_config):
    shutil.rmtree(copy / "epochs/002")
    label(copy, 2, tiny_config)
    train(copy, 2, tiny_config)
    for name in ("model.safetensors", "state.pt", "metrics.json"):
        assert (copy / "epochs/002" / name).read_bytes() == (
            run / "epochs/002" / name
        ).read_bytes(), name
    for name, schema in (("features", FEATURES), ("graph", GRAPH), ("clusters", CLUSTERS)):
        ours, theirs = (read_artifact(r / f"epochs/002/{name}.h5", schema) for r in (copy, run))
        assert ours.digest == theirs.digest


def test_the_seed_matters(copy, tiny_config):
    run_init(
        index=copy / "index.h5",
        pixels=copy / "pixels.h5",
        out=copy / "other.safetensors",
        metrics=None,
        config=changed(tiny_config, seed=1),
    )
    first, _ = load_network(copy / "init/model.safetensors")
    other, _ = load_network(copy / "other.safetensors")
    assert not torch.equal(first.backbone.conv1.weight, other.backbone.conv1.weight)


def test_learning_rate_and_optimiser_state_are_carried(copy, tiny_config):
    config = changed(tiny_config, train={"lr_step": 1, "lr_gamma": 0.5, "weight_decay": 0})
    train(copy, 2, config)
    assert json.loads((copy / "epochs/002/metrics.json").read_text())["lr"] == 5e-4
    state = torch.load(copy / "epochs/002/state.pt", weights_only=True)
    steps = {float(s["step"]) for s in state["optimizer"]["state"].values()}
    assert steps == {6.0}
    assert {group["weight_decay"] for group in state["optimizer"]["param_groups"]} == {0}


def test_the_model_is_the_mean_of_epochs(copy, tiny_config):
    """From epoch 1 on: that of epoch 3 is the mean of what epochs 1 to 3 left."""
    config = changed(tiny_config, epochs=3, train={"average_from": 1})
    for epoch in (2, 3):
        shutil.rmtree(copy / f"epochs/{epoch:03}", ignore_errors=True)
        label(copy, epoch, config)
        train(copy, epoch, config)
    left = [load_file(copy / "epochs/001/model.safetensors")]
    for epoch in (2, 3):
        weights = torch.load(copy / f"epochs/{epoch:03}/state.pt", weights_only=True)["weights"]
        left.append(weights)
        found = load_file(copy / f"epochs/{epoch:03}/model.safetensors")
        assert found.keys() == weights.keys()
        for name, value in found.items():
            if value.is_floating_point():
                mean = sum(one[name].double() for one in left) / epoch
                torch.testing.assert_close(value.double(), mean, rtol=1e-5, atol=1e-7)
            else:
                assert torch.equal(value, left[-1][name])
    assert not torch.equal(left[2]["backbone.conv1.weight"], left[1]["backbone.conv1.weight"])
    facts = describe(copy / "epochs/003/state.pt").facts
    assert facts["tensors that the epoch left"] == len(left[2])


def test_training_goes_on_from_the_last_weights(copy, tiny_config, monkeypatch):
    """Not from the mean: with steps of (nearly) no size an epoch leaves what it began with."""
    config = changed(tiny_config, epochs=3, train={"average_from": 1})
    shutil.rmtree(copy / "epochs/002")
    label(copy, 2, config)
    train(copy, 2, config)
    still = changed(config, train={"lr": 1e-30})
    label(copy, 3, still)
    train(copy, 3, still)
    second, third = (
        torch.load(copy / f"epochs/{epoch}/state.pt", weights_only=True)["weights"]
        for epoch in ("002", "003")
    )
    mean = load_file(copy / "epochs/002/model.safetensors")
    name = "backbone.conv1.weight"
    assert torch.equal(third[name], second[name])
    assert not torch.equal(third[name], mean[name])


def test_a_state_without_weights_is_refused_where_the_model_is_a_mean(copy, tiny_config):
    config = changed(tiny_config, epochs=3, train={"average_from": 1})
    label(copy, 3, tiny_config)
    files = arguments("train", copy, config, 3) | {"out": copy / "x"}
    with pytest.raises(UserError, match=r"state.pt holds no weights: train.average_from"):
        run_train(**files)
    assert not (copy / "x").exists()


@pytest.mark.parametrize("change", [{"use_hsd": False}, {"use_ppa": False}, {"sampler": "cameras"}])
def test_training_options_change_the_result(copy, run, tiny_config, change):
    train(copy, 2, changed(tiny_config, train=change))
    name = "epochs/002/model.safetensors"
    assert (copy / name).read_bytes() != (run / name).read_bytes()
    metrics = json.loads((copy / "epochs/002/metrics.json").read_text())
    if change == {"use_ppa": False}:
        assert metrics["ppa_loss"] is None
    plain = change == {"use_hsd": False}
    assert ("cluster_contrast_loss" in metrics, "hsd_loss" in metrics) == (plain, not plain)


def test_streamed_pixels_train_to_the_same_bytes(copy, run, tiny_config, monkeypatch):
    monkeypatch.setattr("mprd.system.ram.PIXEL_SHARE", 0.0)
    train(copy, 2, tiny_config)
    name = "epochs/002/model.safetensors"
    assert (copy / name).read_bytes() == (run / name).read_bytes()


def test_evaluation_and_rankings(run):
    report = json.loads((run / "evaluation/002.json").read_text())
    assert 0 < report["mAP"] <= 1
    assert report["num_valid_queries"] == report["num_queries"] == 9
    assert report["rank1"] <= report["rank5"] <= report["rank10"]
    rankings = read_artifact(run / "evaluation/002.rankings.h5", RANKINGS)
    assert rankings["average_precision"].mean() == pytest.approx(report["mAP"], rel=1e-5)
    index = read_artifact(run / "index.h5", INDEX)
    best = rankings["gallery_row"]
    assert best.shape == (9, 50)
    assert (best[:, 16:] == -1).all()
    query, first = rankings["query_row"], best[:, 0]
    same = index["identity"][query] == index["identity"][first]
    assert not (same & (index["camera"][query] == index["camera"][first])).any()
    assert same.mean() == pytest.approx(report["rank1"])


def test_baselines_flip_and_rerank(copy, tiny_config):
    histogram = evaluate(copy, "histogram", tiny_config, baseline="histogram")
    untrained = evaluate(copy, "random", tiny_config, baseline="random")
    assert histogram["mAP"] > 0.5
    assert 0 < untrained["mAP"] <= 1
    assert "model" not in untrained["inputs"]
    model = copy / "epochs/002/model.safetensors"
    for name, options in (("p", {}), ("f", {"flip": True}), ("r", {"rerank": True})):
        evaluate(copy, name, changed(tiny_config, evaluate=options), model=model)
    plain, flip, rerank = (
        read_artifact(copy / f"evaluation/{name}.rankings.h5", RANKINGS)["distance"][:, :16]
        for name in "pfr"
    )
    assert not np.allclose(plain, flip)
    assert not np.allclose(plain, rerank)
    assert rerank.max() <= 1


def test_table_and_summary(copy):
    run_table(run=copy, out=copy / "metrics.csv")
    table = pd.read_csv(copy / "metrics.csv", dtype={"model": str})
    assert table["model"].tolist() == ["init", "1", "2"]
    assert table["mAP"].notna().tolist() == [True, False, True]
    assert table["clusters"].notna().tolist() == [False, True, True]
    run_summary(tables=[copy / "metrics.csv"] * 2, variants=["a", "a"], out=copy / "summary.csv")
    summary = pd.read_csv(copy / "summary.csv")
    assert summary["model"].tolist() == ["init", "last epoch"]
    assert summary["seeds"].tolist() == [2, 2]
    assert summary["mAP"].iloc[1] == pytest.approx(table["mAP"].iloc[2])
    assert summary["mAP_std"].tolist() == [0, 0]


def test_export(copy, tiny_config):
    model, end = copy / "epochs/002/model.safetensors", RunLayout(copy).final
    export(RunLayout(copy), tiny_config)
    (last, before), (final, after) = (
        read_safetensors(path, SCHEMA, "train") for path in (model, end.model)
    )
    assert final == last | {"card": final["card"]}
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
    table = pd.read_csv(end.table)
    assert table.columns.tolist() == ["path", "cluster", "doubt", "camera", "identity"]
    clusters = read_artifact(end.clusters, CLUSTERS)
    assert table["cluster"].tolist() == clusters["labels"].tolist()
    inside = table[table["cluster"] >= 0].sort_values("doubt")
    assert inside["doubt"].tolist() == list(range(1, len(inside) + 1))
    assert (np.diff(clusters["membership"][inside.index]) >= 0).all(), "the most doubtful first"
    assert table["doubt"].isna().sum() == (table["cluster"] < 0).sum()
    embeddings = read_artifact(end.embeddings, FEATURES)
    assert len(embeddings["features"]) == 81
    assert embeddings.attributes["splits"] == "train,query,gallery"
    train = read_artifact(end.features, FEATURES)
    assert np.array_equal(embeddings["features"][:54], train["features"])
    assert train.inputs["model"] == load_network(model)[1]["digest"]


def test_an_export_keeps_the_numbers_of_an_earlier_run(copy, tiny_config, capsys):
    run, earlier = RunLayout(copy), copy / "earlier.csv"
    end = run.final
    export(run, tiny_config)
    table = pd.read_csv(end.table)
    assert table["cluster"].max() >= 1
    moved = {-1: -1, 0: 7, 1: 3}  # the clusters from 2 on are new
    old = table.assign(cluster=table["cluster"].map(moved).fillna(-1).astype(int))
    old.to_csv(earlier, index=False)
    config = changed(tiny_config, export={"numbers": str(earlier)})
    export(run, config)
    expected = [moved.get(label, label + 6) for label in table["cluster"]]
    assert pd.read_csv(end.table)["cluster"].tolist() == expected
    clusters = read_artifact(end.clusters, CLUSTERS)
    assert clusters["number"][:2].tolist() == [7, 3]
    members = cluster_table(end.clusters, 7)
    assert sorted(members["path"]) == sorted(table["path"][table["cluster"] == 0])
    with pytest.raises(UserError, match=r"has no cluster 0: 3 to"):
        cluster_table(end.clusters, 0)
    gone = pd.DataFrame({"path": ["gone.jpg"], "cluster": [40]})
    pd.concat([old, gone]).to_csv(earlier, index=False)
    export(run, config)
    numbers = read_artifact(end.clusters, CLUSTERS)["number"].tolist()
    assert numbers == [7, 3, *range(41, 39 + len(numbers))], "the number of what is gone is not"
    gone.to_csv(earlier, index=False)
    capsys.readouterr()
    export(run, config)
    assert "names none of these images; all numbers are new" in capsys.readouterr().out


def test_an_export_keeps_the_numbers_of_the_table_that_it_replaces(copy, tiny_config, capsys):
    run = RunLayout(copy)
    end, before = run.final, run.final.folder / "clusters.1.csv"
    export(run, tiny_config)
    written = end.table.read_bytes()
    capsys.readouterr()
    export(run, tiny_config)
    assert end.table.read_bytes() == written, "the same clusters have the same numbers"
    assert not before.exists()
    count = len(read_artifact(end.clusters, CLUSTERS)["sizes"])
    assert (
        f"{count} of {count} clusters keep their numbers of {end.table}" in capsys.readouterr().out
    )
    read = functools.partial(pd.read_csv, dtype={"doubt": "Int64"})
    table = read(end.table)
    named = table.assign(cluster=table["cluster"].where(table["cluster"] < 0, table["cluster"] + 5))
    named.to_csv(end.table, index=False, float_format="%.3f")
    export(run, tiny_config)
    assert read(end.table).equals(named)
    assert not before.exists(), "it holds the same"
    named.iloc[1:].to_csv(end.table, index=False)
    export(run, tiny_config)
    assert read(end.table).equals(named)
    assert read(before).equals(named.iloc[1:].reset_index(drop=True))
    assert f"the clusters before are in {before}" in capsys.readouterr().out
    end.table.write_text("no table")
    export(run, tiny_config)
    assert "Warning: the clusters get new numbers." in capsys.readouterr().out
    assert end.table.read_bytes() == written
    assert before.read_text() == "no table"
    assert len(read(end.folder / "clusters.2.csv")) == len(table) - 1


def test_an_epoch_takes_no_numbers_of_an_earlier_run(copy, run, tiny_config):
    earlier = copy / "earlier.csv"
    earlier.write_text("path,cluster\nx.jpg,a\n")
    config = changed(tiny_config, export={"numbers": str(earlier)})
    label(copy, 1, config)
    ours, theirs = (read_artifact(r / "epochs/001/clusters.h5", CLUSTERS) for r in (copy, run))
    assert ours.digest == theirs.digest


@pytest.mark.parametrize("number", ["a", "", "1.5", "-2", "3000000000"])
def test_a_table_of_numbers_is_checked_before_any_work(copy, tiny_config, number):
    earlier = copy / "earlier.csv"
    earlier.write_text(f"path,cluster\nx.jpg,{number}\n")
    config = changed(tiny_config, export={"numbers": str(earlier)})
    files = arguments("cluster", copy, config, FINAL) | {"graph": copy / "none"}
    with pytest.raises(UserError, match=r"earlier.csv must give each path one whole number"):
        run_cluster(**files, final=True)
    end = RunLayout(copy).final
    with pytest.raises(UserError, match="which this run writes anew"):
        require_other(changed(tiny_config, export={"numbers": str(end.table)}), end)


def test_unlabelled_folder_trains_and_skips_evaluation(tmp_path, market, tiny_config, capsys):
    crops = market / "market1501/Market-1501-v15.09.15/bounding_box_train"
    config = changed(tiny_config, data={"dataset": "folder", "root": str(crops)})
    start(tmp_path, config)
    label(tmp_path, 1, config)
    train(tmp_path, 1, config)
    report = evaluate(tmp_path, "001", config, model=tmp_path / "epochs/001/model.safetensors")
    assert report["skipped"] == "no query with a match in the gallery"
    assert "mAP" not in report
    assert "evaluation is skipped" in capsys.readouterr().out
    clusters = read_artifact(tmp_path / "epochs/001/clusters.h5", CLUSTERS)
    assert np.isnan(clusters.attributes["nmi"])
    run_table(run=tmp_path, out=tmp_path / "metrics.csv")


# ---- mistakes ----------------------------------------------------------------------------------


def test_stale_and_foreign_inputs_are_refused(copy, tiny_config):
    files = arguments("train", copy, tiny_config, 2) | {"out": copy / "x"}
    one = copy / "epochs/001"
    with pytest.raises(UserError, match=r"clusters.h5 was made from another features"):
        run_train(**files | {"clusters": one / "clusters.h5"})
    with pytest.raises(UserError, match=r"features.h5 was made from another model"):
        run_train(**files | {"model": copy / "init/model.safetensors"})
    with pytest.raises(UserError, match="state after epoch 2, epoch 2 needs that of 1"):
        run_train(**files | {"state": copy / "epochs/002/state.pt"})
    for before in ("state", "previous_clusters"):
        option = f"--{before.replace('_', '-')}"
        with pytest.raises(UserError, match=f"`mprd train` needs {option}: this is epoch 2"):
            run_train(**files | {before: None})
        with pytest.raises(UserError, match=f"{option} is of the epoch before; this is epoch 1"):
            run_train(**arguments("train", copy, tiny_config, 1) | {before: files[before]})
    assert not (copy / "x").exists()


def test_artifacts_of_another_data_set_are_refused(copy, tmp_path, tiny_config, market):
    crops = market / "market1501/Market-1501-v15.09.15/bounding_box_test"
    other = changed(tiny_config, data={"dataset": "folder", "root": str(crops)})
    run_index(out=tmp_path / "other.h5", config=other)
    model = copy / "init/model.safetensors"
    with pytest.raises(UserError, match=r"pixels.h5 was made from another index"):
        run_features(
            index=tmp_path / "other.h5",
            pixels=copy / "pixels.h5",
            model=model,
            out=copy / "x.h5",
            config=tiny_config,
        )
    with pytest.raises(UserError, match=r"graph.h5 was made from another index"):
        run_cluster(
            index=tmp_path / "other.h5",
            graph=copy / "epochs/001/graph.h5",
            out=copy / "x.h5",
            config=tiny_config,
        )
    assert not (copy / "x.h5").exists()


def test_images_of_another_size_are_refused(copy, tiny_config):
    config = changed(tiny_config, data={"height": 48})
    run_pixels(index=copy / "index.h5", out=copy / "pixels48.h5", config=config)
    with pytest.raises(UserError, match="images of 48x16, the model was made for 32x16"):
        run_features(
            index=copy / "index.h5",
            pixels=copy / "pixels48.h5",
            model=copy / "init/model.safetensors",
            out=copy / "x.h5",
            config=config,
        )


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        ({"eps": 1e-6, "min_samples": 54}, "found 0 clusters at eps 1e-06.*Raise cluster.eps"),
        ({"eps": 0.69, "min_samples": 1}, None),
    ],
)
def test_degenerate_clusterings(copy, tiny_config, cluster, message):
    config = changed(tiny_config, cluster=cluster)
    graph, out = copy / "epochs/001/graph.h5", copy / "c.h5"
    if message is None:
        run_cluster(index=copy / "index.h5", graph=graph, out=out, config=config)
        assert (read_artifact(out, CLUSTERS)["labels"] >= 0).all()
        return
    with pytest.raises(UserError, match=message):
        run_cluster(index=copy / "index.h5", graph=graph, out=out, config=config)
    assert not out.exists()


def put_graph(path, indptr, indices, data):
    def change(file):
        values = {"indptr": indptr, "indices": indices, "data": data.astype(np.float32)}
        for key, array in values.items():
            put(key, array)(file)

    edit(path, change)


def test_one_cluster_is_an_error(copy, tiny_config):
    """All images alike: DBSCAN joins them."""
    columns = np.tile(np.arange(54, dtype=np.int32), 54)
    put_graph(copy / "epochs/001/graph.h5", np.arange(55) * 54, columns, np.zeros(54 * 54))
    with pytest.raises(UserError, match=r"found 1 cluster at .*Lower cluster.eps"):
        run_cluster(
            index=copy / "index.h5",
            graph=copy / "epochs/001/graph.h5",
            out=copy / "c.h5",
            config=tiny_config,
        )


def test_one_cluster_among_outliers_is_widened(copy, tiny_config, capsys):
    """Three images are together, all others farther off, in pairs."""
    rows = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    columns = [0, 1, 2] * 3
    pairs = [(i, i + 1) for i in range(3, 53, 2)]
    far = [(a, b) for pair in pairs for a, b in (pair, pair[::-1])]
    entries = dict.fromkeys([*zip(rows, columns, strict=True), *((i, i) for i in range(54))], 0.0)
    entries |= dict.fromkeys(far, 0.5)
    dense = [(i, j, entries[i, j]) for i, j in sorted(entries)]
    counts = np.bincount([i for i, _, _ in dense], minlength=54)
    put_graph(
        copy / "epochs/001/graph.h5",
        np.concatenate([[0], np.cumsum(counts)]),
        np.array([j for _, j, _ in dense], np.int32),
        np.array([d for _, _, d in dense]),
    )
    config = changed(tiny_config, cluster={"eps": 0.2, "min_samples": 2, "widen_step": 0.3})
    run_cluster(
        index=copy / "index.h5",
        graph=copy / "epochs/001/graph.h5",
        out=copy / "c.h5",
        config=config,
    )
    assert "Warning: 1 cluster at eps 0.2" in capsys.readouterr().out
    assert len(read_artifact(copy / "c.h5", CLUSTERS)["sizes"]) == 26


def test_eps_is_widened_on_request(copy, tiny_config, capsys):
    config = changed(tiny_config, cluster={"eps": 1e-6, "min_samples": 6, "widen_step": 0.3})
    run_cluster(
        index=copy / "index.h5",
        graph=copy / "epochs/001/graph.h5",
        out=copy / "c.h5",
        config=config,
    )
    eps = read_artifact(copy / "c.h5", CLUSTERS).attributes["eps"]
    assert eps > 0.2
    assert "Warning: 0 clusters at eps 1e-06" in capsys.readouterr().out


def test_eps_beyond_the_graph_is_an_error(copy, tiny_config):
    config = changed(tiny_config, cluster={"eps": 0.8}, graph={"eps_max": 0.9})
    with pytest.raises(UserError, match=r"stores distances up to 0.7. Raise graph.eps_max"):
        run_cluster(
            index=copy / "index.h5",
            graph=copy / "epochs/001/graph.h5",
            out=copy / "c.h5",
            config=config,
        )


def test_too_few_labelled_images_for_a_batch(copy, tiny_config):
    config = changed(tiny_config, train={"identities": 16, "instances": 16})
    with pytest.raises(UserError, match=r"fewer than a batch of 256"):
        train(copy, 2, config)


def test_nan_loss_names_epoch_and_step(copy, tiny_config):
    before = (copy / "epochs/002/model.safetensors").read_bytes()
    with pytest.raises(
        UserError, match=r"loss is (NaN|infinite) in epoch 2, step \d.*Lower train.lr"
    ):
        train(copy, 2, changed(tiny_config, train={"lr": 1e38}))
    assert (copy / "epochs/002/model.safetensors").read_bytes() == before


def test_bad_images(tmp_path, market, tiny_config, capsys):
    crops = tmp_path / "crops"
    shutil.copytree(market / "market1501/Market-1501-v15.09.15/bounding_box_train", crops)
    names = sorted(p.name for p in crops.iterdir())
    (crops / names[3]).write_bytes(b"no image")
    cut = (crops / names[5]).read_bytes()
    (crops / names[5]).write_bytes(cut[:-60])
    config = changed(tiny_config, data={"dataset": "folder", "root": str(crops)})
    with pytest.raises(UserError, match=f"{names[3]} cannot be read"):
        run_index(out=tmp_path / "i.h5", config=config)
    skip = changed(config, data={"on_bad_image": "skip"})
    run_index(out=tmp_path / "i.h5", config=skip)
    index = read_artifact(tmp_path / "i.h5", INDEX)
    assert (len(index["path"]), index.attributes["num_skipped"]) == (52, 2)
    assert "Left out 2 unreadable images" in capsys.readouterr().out
    (crops / names[3]).unlink()
    run_index(out=tmp_path / "i.h5", config=config)
    with pytest.raises(UserError, match=f"{names[5]} cannot be read"):
        run_pixels(index=tmp_path / "i.h5", out=tmp_path / "p.h5", config=config)
    assert not (tmp_path / "p.h5").exists()


def test_grayscale_and_palette_images_become_rgb(tmp_path):
    for mode in ("L", "P", "RGBA", "CMYK", "I;16", "1"):
        path = tmp_path / f"{mode.replace(';', '')}.{'jpg' if mode == 'CMYK' else 'png'}"
        Image.new(mode, (8, 12)).save(path)
        assert resize(decode(path), 12, 8).shape == (12, 8, 3)


@pytest.mark.parametrize(
    ("method", "align"), [("center", center_cameras), ("standardize", standardize_cameras)]
)
def test_graph_of_aligned_cameras(copy, tiny_config, method, align):
    here = copy / "epochs/001"
    centred = changed(tiny_config, graph={"cameras": method})
    before = read_artifact(here / "graph.h5", GRAPH).digest
    run_graph(
        features=here / "features.h5",
        out=here / "graph.h5",
        config=centred,
        index=copy / "index.h5",
    )
    found = read_artifact(here / "graph.h5", GRAPH)
    assert found.digest != before
    index = read_artifact(copy / "index.h5", INDEX)
    features = read_artifact(here / "features.h5", FEATURES)
    cameras = index["camera"][features["row"]]
    expected, neighbors = knn(align(features["features"], cameras), 6)
    np.testing.assert_array_equal(found["neighbors"], neighbors)
    np.testing.assert_allclose(found["similarities"], expected.clip(-1, 1))


def test_camera_means_need_cameras(copy, tiny_config, tmp_path):
    here = copy / "epochs/001"
    centred = changed(tiny_config, graph={"cameras": "center"})
    edit(copy / "index.h5", put("camera", np.full(81, -1, np.int16)))
    with pytest.raises(UserError, match="knows no cameras"):
        run_graph(
            features=here / "features.h5",
            out=tmp_path / "graph.h5",
            config=centred,
            index=copy / "index.h5",
        )
    assert not (tmp_path / "graph.h5").exists()


@pytest.mark.parametrize(
    "stage",
    ["pixels", "init", "features", "graph", "cluster", "train", "evaluate", "evaluate histogram"],
)
def test_too_little_memory_is_refused_at_once(stage, copy, tiny_config, monkeypatch):
    """One sentence that names the stage; the old output stays."""
    monkeypatch.setattr("mprd.system.ram.usable", lambda: 2**20)
    index, pixels = copy / "index.h5", copy / "pixels.h5"
    model, first = copy / "init/model.safetensors", copy / "epochs/001"
    run_stage = {
        "pixels": lambda: run_pixels(index=index, out=pixels, config=tiny_config),
        "init": lambda: run_init(
            index=index, pixels=pixels, out=model, metrics=None, config=tiny_config
        ),
        "features": lambda: run_features(
            index=index,
            pixels=pixels,
            model=model,
            out=first / "features.h5",
            config=tiny_config,
        ),
        "graph": lambda: run_graph(
            index=index,
            features=first / "features.h5",
            out=first / "graph.h5",
            config=tiny_config,
        ),
        "cluster": lambda: run_cluster(
            index=index,
            graph=first / "graph.h5",
            out=first / "clusters.h5",
            config=tiny_config,
        ),
        "train": lambda: train(copy, 1, tiny_config),
        "evaluate": lambda: evaluate(copy, "000", tiny_config, model=model),
        "evaluate histogram": lambda: evaluate(copy, "000", tiny_config, baseline="histogram"),
    }[stage]
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    with pytest.raises(
        UserError, match=rf"^Stage {stage.split()[0]} needs about .* GiB are free\. "
    ):
        run_stage()
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_an_approximate_graph_says_how_good_it_is(copy, tiny_config, capsys):
    settings = changed(tiny_config, graph={"backend": "ivf", "min_recall": 0.8})
    run_graph(
        index=copy / "index.h5",
        features=copy / "epochs/001/features.h5",
        out=copy / "ivf.h5",
        config=settings,
    )
    recall = read_artifact(copy / "ivf.h5", GRAPH).attributes["recall"]
    assert 0.8 <= recall <= 1
    assert f"{recall:.3f}" in capsys.readouterr().out
    assert read_artifact(copy / "epochs/001/graph.h5", GRAPH).attributes["recall"] == 1


@pytest.mark.parametrize("memory", ["hybrid", "camera"])
def test_other_memories_train(copy, tiny_config, memory):
    """SpCL's trains on outliers, too; CAP's reports its own loss."""
    other = changed(
        tiny_config,
        cluster={"eps": 0.4},
        train={"memory": memory, "use_hsd": False, "use_ppa": False},
    )
    run_cluster(
        index=copy / "index.h5",
        graph=copy / "epochs/001/graph.h5",
        out=copy / "epochs/001/clusters.h5",
        config=other,
    )
    labels = read_artifact(copy / "epochs/001/clusters.h5", CLUSTERS)["labels"]
    assert (labels < 0).any(), "there are outliers"
    before = load_network(copy / "epochs/001/model.safetensors")[1]["digest"]
    train(copy, 1, other)
    metrics = json.loads((copy / "epochs/001/metrics.json").read_text())
    assert np.isfinite(metrics["loss"])
    assert ("camera_loss" in metrics) == (memory == "camera")
    assert load_network(copy / "epochs/001/model.safetensors")[1]["digest"] != before


def test_self_paced_clusters_go_on_with_the_first_threshold(copy, tiny_config):
    paced = changed(tiny_config, cluster={"self_paced": True, "eps_gap": 0.05})
    files = {"index": copy / "index.h5", "graph": copy / "epochs/001/graph.h5"}
    plain = read_artifact(copy / "epochs/001/clusters.h5", CLUSTERS)
    first, second = copy / "first.h5", copy / "second.h5"
    run_cluster(**files, out=first, config=paced)
    found = read_artifact(first, CLUSTERS)
    assert found.attributes["num_outliers"] >= plain.attributes["num_outliers"]
    kept = found["labels"] >= 0
    assert (plain["labels"][kept] >= 0).all()
    assert 0 <= found.attributes["independence"] < 1
    run_cluster(**files, out=second, config=paced, previous_clusters=first)
    again = read_artifact(second, CLUSTERS)
    assert again.attributes["independence"] == found.attributes["independence"]
    assert again.inputs["previous_clusters"] == found.digest
    with pytest.raises(UserError, match=r"without cluster\.self_paced"):
        run_cluster(
            **files, out=second, config=paced, previous_clusters=copy / "epochs/001/clusters.h5"
        )
    far = changed(paced, cluster={"eps": 0.68}, graph={"eps_max": 0.9})
    with pytest.raises(UserError, match=r"eps_gap is 0\.73 but .* distances up to 0\.7"):
        run_cluster(**files, out=second, config=far)


def test_self_paced_clusters_go_on_within_a_data_set(copy, tmp_path, tiny_config):
    paced = changed(tiny_config, cluster={"self_paced": True, "eps_gap": 0.05})
    files = {"index": copy / "index.h5", "graph": copy / "epochs/001/graph.h5"}
    run_cluster(**files, out=copy / "first.h5", config=paced)
    found = read_artifact(copy / "first.h5", CLUSTERS)
    write_artifact(
        copy / "other.h5",
        CLUSTERS,
        found.arrays,
        config={},
        inputs=found.inputs | {"index": "0" * 64},
        attributes=found.attributes,
    )
    with pytest.raises(UserError, match=r"other\.h5 was made from another index"):
        run_cluster(**files, out=copy / "c.h5", config=paced, previous_clusters=copy / "other.h5")
