"""`mprd inspect` and `mprd diff` on a finished run."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import pair_confusion_matrix
from typer.testing import CliRunner

from mprd.artifacts import (
    CLUSTERS,
    GRAPH,
    INDEX,
    JUDGEMENTS,
    RELATIONS,
    read_artifact,
    write_artifact,
)
from mprd.artifacts.tensors import read_safetensors, save_tensors
from mprd.cli.app import app
from mprd.clustering.numbering import with_single_clusters
from mprd.config import validate
from mprd.errors import UserError
from mprd.models.weights import load_network
from mprd.pipeline.layout import RunLayout
from mprd.report.inspect.clustering import read_clustering
from mprd.report.inspect.describe import describe
from mprd.report.inspect.difference import compare, compare_clusterings
from mprd.report.inspect.lookup import cluster_table, pair_table
from mprd.stages.index import run_index

LABELS = st.lists(st.integers(-1, 3), min_size=12, max_size=12).map(np.array)


def call(*args: object) -> str:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False).output


def test_every_file_of_a_run_is_described(judged_run):
    files = [p for p in judged_run.folder.rglob("*") if p.suffix in (".h5", ".json", ".csv")]
    files += [*judged_run.folder.rglob("*.safetensors"), *judged_run.folder.rglob("*.pt")]
    kinds = {describe(path).kind for path in files}
    assert kinds >= {"mprd.index", "mprd.clusters", "mprd.judgements", "mprd.model", "mprd.gcn"}
    assert kinds >= {"mprd.metrics", "mprd.evaluation", "mprd.state", "table"}
    assert len(json.loads(call("inspect", judged_run.folder, "--json"))) == len(files)


def test_the_json_is_what_the_file_holds(judged_run):
    path = judged_run.final.clusters
    said = json.loads(call("inspect", path, "--json"))
    labels = read_artifact(path, CLUSTERS)["labels"]
    row = next(row for row in said["contents"] if row["name"] == "labels")
    assert row["shape"] == [54]
    assert (row["min"], row["max"]) == (labels.min(), labels.max())
    assert row["mean"] == pytest.approx(labels.mean())
    assert said["facts"]["config"]["cluster"]["relation"] == "judged"
    assert said["check"].startswith("Check passed")


def test_networks_are_summed_up_unless_asked(judged_run):
    model = judged_run.final.model
    short, long = (len(describe(model, tensors=t).rows) for t in (False, True))
    assert short < 15 < long
    parts = describe(model).rows
    assert sum(part["tensors"] for part in parts) == long
    assert "backbone.conv1" in call("inspect", model, "--tensors")


def test_a_network_with_an_unknown_backbone(judged_run, tmp_path):
    header, tensors = read_safetensors(judged_run.final.model, "mprd.model", "init")
    architecture = json.loads(header["architecture"]) | {"backbone": "resnet5"}
    out = tmp_path / "model.safetensors"
    rest = {"config": {}, "inputs": {}, "seed": 0}
    save_tensors(out, "mprd.model", tensors, architecture=architecture, **rest)
    verdict = describe(out).verdict
    assert "cannot be built here. Unknown backbone 'resnet5' (did you mean 'resnet50'" in verdict
    assert verdict in call("inspect", out)
    with pytest.raises(UserError, match="Unknown backbone 'resnet5'"):
        load_network(out)
    assert describe(judged_run.final.model).verdict.startswith("Check passed: architecture")


def test_times_of_an_index(tmp_path):
    for number in range(4):
        (tmp_path / f"cam_{number % 2}").mkdir(exist_ok=True)
        Image.new("RGB", (4, 8)).save(tmp_path / f"cam_{number % 2}/{number}.png")
    rows = "cam_0/0.png,gate,2026-03-14,a\ncam_1/1.png,yard,,b\ncam_0/2.png,gate,2026-03-15,a\n"
    (tmp_path / "m.csv").write_text(f"path,camera,time,track\n{rows}cam_1/3.png,yard,,\n")
    data = {"dataset": "folder", "root": str(tmp_path / "m.csv")}
    run_index(out=tmp_path / "index.h5", config=validate({"data": data}, "test"))
    said = call("inspect", tmp_path / "index.h5")
    for line in (
        "images with a time: 2 of 4",
        "tracks: 2, of 3 images",
        "times of camera gate: 2026-03-14 00:00:00 to 2026-03-15 00:00:00 (2 images)",
        "times of camera yard: no times (2 images)",
    ):
        assert line in said
    assert describe(tmp_path / "index.h5").as_json()["facts"]["images with a time"] == "2 of 4"


def test_members_of_a_cluster(judged_run):
    path = judged_run.final.clusters
    clusters, index = read_artifact(path, CLUSTERS), read_artifact(judged_run.index, INDEX)
    rows = np.flatnonzero(clusters["labels"] == 0)
    table = cluster_table(path, 0)
    assert sorted(table["path"]) == sorted(index["path"][rows])
    assert table["membership"].is_monotonic_decreasing
    of = dict(zip(index["path"], zip(index["camera"], index["identity"], strict=True), strict=True))
    for _, row in table.iterrows():
        camera, identity = of[row["path"]]
        assert (row["camera"], row["identity"]) == (str(camera + 1), identity)
    assert table["path"][0] in call("inspect", path, "--cluster", 0)
    with pytest.raises(UserError, match="has no cluster 99: 0 to"):
        cluster_table(path, 99)


def test_pairs_of_an_image(judged_run):
    epoch = judged_run.epoch(2)
    graph, judged = read_artifact(epoch.graph, GRAPH), read_artifact(epoch.judgements, JUDGEMENTS)
    index = read_artifact(judged_run.index, INDEX)
    row = int(np.argmax(np.diff(graph["indptr"])))
    name = str(index["path"][row])
    table = pair_table(epoch.judgements, name.rpartition("/")[2])
    span = slice(*graph["indptr"][row : row + 2])
    expected = {
        str(index["path"][j]): round(float(p), 3)
        for j, p in zip(graph["indices"][span], judged["probability"][span], strict=True)
        if j != row
    }
    assert dict(zip(table["path"], table["p"].astype(float), strict=True)) == pytest.approx(
        expected
    )
    hard = read_artifact(epoch.relations, RELATIONS)
    image = int(hard["i"][0])
    found = pair_table(epoch.relations, str(index["path"][image]))
    assert len(found) == ((hard["i"] == image) | (hard["j"] == image)).sum()
    with pytest.raises(UserError, match=r"no training image called 'none.jpg'"):
        pair_table(epoch.relations, "none.jpg")
    with pytest.raises(UserError, match=r"asks for a relations.h5 or judgements.h5, not graph.h5"):
        pair_table(epoch.graph, name)


def test_a_file_outside_a_run(judged_run, tmp_path):
    copy = tmp_path / "clusters.h5"
    copy.write_bytes(judged_run.final.clusters.read_bytes())
    with pytest.raises(UserError, match=r"lies in no folder of a run: there is no index.h5"):
        cluster_table(copy, 0)


def test_wrong_files(tmp_path):
    (tmp_path / "a.json").write_text("[1]")
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.csv").write_text("")
    (tmp_path / "d.pt").write_text("x")
    (tmp_path / "e.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "a.json": "no report of mprd",
        "b.json": "not valid JSON",
        "c.csv": "not a CSV table",
        "d.pt": "not a readable training state",
        "e.txt": "no file that a run leaves",
        "empty": "holds no artifact",
        "none": "does not exist",
    }.items():
        with pytest.raises(UserError, match=message):
            call("inspect", tmp_path / name)


@given(LABELS, LABELS)
def test_a_difference_is_its_definition(raw_a, raw_b):
    a, b = (
        np.where(x < 0, -1, np.unique(x[x >= 0], return_inverse=True)[1][np.cumsum(x >= 0) - 1])
        if (x >= 0).any()
        else x
        for x in (raw_a, raw_b)
    )
    found = compare(a, b)

    def sets(labels):
        return [set(np.flatnonzero(labels == k)) for k in range(labels.max() + 1)]

    old, new = sets(a), sets(b)
    goes = {i: j for i, x in enumerate(old) for j, y in enumerate(new) if 2 * len(x & y) > len(x)}
    comes = {j: i for j, y in enumerate(new) for i, x in enumerate(old) if 2 * len(x & y) > len(y)}
    assert found.unchanged == sum(x in new for x in old)
    assert found.dissolved == [i for i in range(len(old)) if i not in goes]
    assert found.new == [j for j in range(len(new)) if j not in comes]
    groups = {j: [i for i in goes if goes[i] == j] for j in range(len(new))}
    assert found.merged == [(j, of) for j, of in groups.items() if len(of) > 1]
    parts = {i: [j for j in comes if comes[j] == i] for i in range(len(old))}
    assert found.split == [(i, to) for i, to in parts.items() if len(to) > 1]
    stayed = [i for i in range(12) if a[i] >= 0 and goes.get(a[i], -2) == b[i]]
    nowhere = [i for i in range(12) if a[i] < 0 and b[i] < 0]
    assert found.moved == 12 - len(stayed) - len(nowhere)


def test_the_command_diff(judged_run, bare_run):
    first, second = (judged_run.folder / "epochs" / n for n in ("001", "002"))
    text = call("diff", first, second)
    a, b = (read_artifact(RunLayout(judged_run.folder).epoch(e).clusters, CLUSTERS) for e in (1, 2))
    assert f"{len(a['sizes'])} clusters" in text
    said = json.loads(call("diff", first, second, "--json"))
    assert said["clusters"] == [len(a["sizes"]), len(b["sizes"])]
    assert json.loads(call("diff", first, first, "--json"))["moved"] == 0
    with pytest.raises(UserError, match=r"have no image in common: give two of one set"):
        call("diff", first, bare_run.epoch(1).folder)


def test_runs_and_tables_are_compared_by_path(judged_run, bare_run, tmp_path):
    same = json.loads(call("diff", judged_run.folder, judged_run.final.table, "--json"))
    assert (same["moved"], same["precision"], same["recall"], same["ari"]) == (0, 1, 1, 1)
    assert same["unchanged"] == same["clusters"][0]
    old = pd.read_csv(judged_run.final.table)
    table, changes = tmp_path / "other.csv", tmp_path / "changes.csv"
    number = old["cluster"].mode()[0] if (old["cluster"] >= 0).any() else 0
    new = old[["path", "cluster"]].sample(frac=1, random_state=0)
    new.loc[new["cluster"] == number, "cluster"] = 777
    first = old.index[old["cluster"] == number][0]
    new.loc[first, "cluster"] = -1
    new = pd.concat([new.drop(index=old.index[-1]), pd.DataFrame({"path": ["x"], "cluster": [3]})])
    new.to_csv(table, index=False)
    text = call("diff", judged_run.folder, table, "--csv", changes)
    assert f"A  {judged_run.final.clusters}: " in text
    assert f"B  {table}: " in text
    assert "not compared: 1 only in A, 1 only in B" in text
    found = pd.read_csv(changes)
    assert found["path"].tolist() == old["path"].tolist()[:-1]
    both = found.merge(new, on="path")
    assert both["cluster_b"].tolist() == both["cluster"].tolist()
    assert both["cluster_a"].tolist() == old["cluster"].tolist()[:-1]
    assert found["path"][found["moved"] == 1].tolist() == [old["path"][first]]
    copy = tmp_path / "clusters.h5"
    copy.write_bytes(judged_run.final.clusters.read_bytes())
    assert json.loads(call("diff", copy, judged_run.folder, "--json"))["moved"] == 0
    with pytest.raises(UserError, match=r"lies in no folder of a run, so its images are not known"):
        call("diff", copy, copy, "--csv", changes)
    with pytest.raises(UserError, match=r"clusters 54 images, .* 30: give two of one data set"):
        call("diff", copy, bare_run.folder)
    table.write_text("path,cluster\na,b\n")
    with pytest.raises(UserError, match="must give each path one whole number as its cluster"):
        call("diff", table, judged_run.folder)


@settings(deadline=None)
@given(LABELS, LABELS)
def test_the_figures_of_a_difference_are_those_of_scikit_learn(a, b):
    a, b = (np.unique(x, return_inverse=True)[1] - int((x < 0).any()) for x in (a, b))
    one, other = with_single_clusters(a), with_single_clusters(b)
    (_, only_b), (only_a, both) = pair_confusion_matrix(one, other)
    found = compare(a, b)
    assert found.ari == pytest.approx(adjusted_rand_score(one, other))
    assert found.precision == pytest.approx(both / (both + only_a) if both + only_a else 0)
    assert found.recall == pytest.approx(both / (both + only_b) if both + only_b else 0)


def test_a_changed_file_is_told(judged_run, tmp_path):
    copy = tmp_path / "clusters.h5"
    copy.write_bytes(judged_run.final.clusters.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["membership"][0] = 0.123
    with pytest.raises(UserError, match="is not what was written"):
        describe(copy)


def test_another_kind_of_file_is_not_called_damaged(judged_run):
    for path in (judged_run.final.table, judged_run.final.model):
        with pytest.raises(UserError, match="is no HDF5 artifact of mprd"):
            cluster_table(path, 0)


def without_first(clusters, out):
    """Write clusters without the first one, and give the others numbers above a hundred."""
    labels = np.where(clusters["labels"] > 0, clusters["labels"] - 1, -1).astype(np.int32)
    arrays = {**clusters.arrays, "labels": labels, "sizes": clusters["sizes"][1:]}
    arrays["number"] = (100 + np.arange(1, len(clusters["sizes"]))).astype(np.int32)
    attributes = dict(clusters.attributes)
    write_artifact(out, CLUSTERS, arrays, config={}, inputs=clusters.inputs, attributes=attributes)
    return read_artifact(out, CLUSTERS)


def compare_files(a, b):
    return compare_clusterings(read_clustering(a), read_clustering(b))


def test_a_difference_speaks_of_numbers(judged_run, tmp_path):
    """As clusters.csv and the report do, where a run goes on with those of an earlier one."""
    old = read_artifact(judged_run.final.clusters, CLUSTERS)
    first = without_first(old, tmp_path / "first.h5")
    second = without_first(first, tmp_path / "second.h5")
    assert first["number"][0] == 101
    assert compare_files(old.path, first.path).dissolved == [0]
    assert compare_files(first.path, second.path).dissolved == [101]
    assert compare_files(second.path, first.path).new == [101]
    assert compare_files(first.path, old.path).new == [0]
    assert compare_files(old.path, first.path).unchanged == len(old["sizes"]) - 1
