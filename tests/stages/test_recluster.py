"""`mprd recluster`: another cut of a finished run, with its tracks and answers."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.sparse import csr_array

import mprd
from mprd.artifacts import CLUSTERS, GRAPH, read_artifact
from mprd.clustering.graph_matrix import graph_distance
from mprd.config import dump_yaml, load_config, merge, validate
from mprd.pipeline.layout import RunLayout
from tests.conftest import TINY
from tests.stages.pipeline import changed, finish

KEYS = ("path", "cluster")


def draw_tracks(root):
    """Six people in two cameras, three images in each track."""
    rng = np.random.default_rng(0)
    for who in range(6):
        colors = rng.integers(0, 255, (2, 3)).astype(float)
        for camera in range(2):
            for shot in range(3):
                image = np.repeat(colors, 16, axis=0)[:, None, :].repeat(16, axis=1)
                image = (image * (0.9 + 0.1 * camera) + rng.normal(0, 40, image.shape)).clip(0, 255)
                path = root / f"cam_{'ab'[camera]}/{who}/{shot}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def linked_run(tmp_path_factory):
    """A run by linkage, whose images have tracks, with two answers of a person."""
    root = tmp_path_factory.mktemp("tracks")
    draw_tracks(root)
    answers = tmp_path_factory.mktemp("answers") / "answers.csv"
    answers.write_text("path_a,path_b,same\ncam_a/0/0.png,cam_b/0/0.png,1\n")
    with answers.open("a") as file:
        file.write("cam_a/1/0.png,cam_b/2/0.png,0\n")
    data = {"dataset": "folder", "root": str(root)}
    data |= {"camera": "cam_([ab])", "track": r"(cam_[ab]/\d)"}
    more = {"epochs": 1, "data": data, "graph": {"eps_max": 0.97}}
    more["cluster"] = {"method": "linkage", "threshold": 0.7, "min_size": 2}
    more["cluster"]["constraints"] = str(answers)
    values = merge(merge(TINY, more), {"train": {"use_hsd": False, "use_ppa": False}})
    return finish(tmp_path_factory.mktemp("recut") / "linked", validate(values, "linked"))


def together(table, one, other):
    cluster = dict(zip(table["path"], table["cluster"], strict=True))
    return cluster[one] == cluster[other] >= 0


def test_the_cut_of_the_run_is_its_table(cli, linked_run, tmp_path):
    code, said, _ = cli(
        "recluster", linked_run.folder, "--threshold", 0.7, "--out", tmp_path / "c.csv"
    )
    assert code == 0
    assert (tmp_path / "c.csv").read_bytes() == linked_run.final.table.read_bytes()
    lines = said.splitlines()
    assert lines[1] == f"{lines[0]}: {tmp_path / 'c.csv'}"
    assert "at threshold 0.7" in lines[0]
    assert lines[2] == "note: the clusters are the same."


def test_finer_and_coarser(cli, linked_run):
    own = linked_run.final.table.read_bytes()
    before = pd.read_csv(linked_run.final.table)
    for direction in ("finer", "coarser"):
        code, said, _ = cli("recluster", linked_run.folder, f"--{direction}")
        assert code == 0, said
        out = linked_run.final.recut(direction)
        assert out.name == f"clusters_{direction}.csv"
        after = pd.read_csv(out)
        assert str(out) in said
        assert list(after.columns) == list(before.columns)
        assert after["path"].tolist() == before["path"].tolist()
        clusters = after["cluster"][after["cluster"] >= 0].nunique()
        assert f"\n{clusters} clusters, {(after['cluster'] < 0).sum()} outliers at" in said
        # Tracks and answers hold.
        for _, track in after.groupby(after["path"].str.rsplit("/", n=1).str[0]):
            assert track["cluster"].nunique() == 1
        assert together(after, "cam_a/0/0.png", "cam_b/0/0.png")
        assert not together(after, "cam_a/1/0.png", "cam_b/2/0.png")
        # Most of a cluster's images keep its number.
        kept = after["cluster"].to_numpy() == before["cluster"].to_numpy()
        assert kept.any()
        assert (after["doubt"].notna() == (after["cluster"] >= 0)).all()
    assert linked_run.final.table.read_bytes() == own


def test_a_threshold_is_average_linkage_there(cli, linked_run, tmp_path):
    run = RunLayout(shutil.copytree(linked_run.folder, tmp_path / "run"))
    config = load_config(run.config)
    run.config.write_text(dump_yaml(changed(config, cluster={"constraints": None})))
    assert cli("recluster", run.folder, "--threshold", 0.5)[0] == 0
    table = pd.read_csv(run.final.recut("0.5"))
    # Of each track one row and one column are stored: linkage of tracks, three images each.
    dense = graph_distance(read_artifact(run.final.graph, GRAPH)).toarray()
    name = table["path"].str.rsplit("/", n=1).str[0]
    tracks, first, group = np.unique(name, return_index=True, return_inverse=True)
    assert len(tracks) == 12
    rest = np.setdiff1d(np.arange(len(table)), first)
    assert not dense[rest].any()
    assert not dense[:, rest].any()
    between = csr_array(graph_distance(read_artifact(run.final.graph, GRAPH))[first][:, first])
    expected = mprd.linkage(between, 0.5)[group]
    found = table["cluster"].to_numpy()
    np.testing.assert_array_equal(found < 0, expected < 0)
    inside = expected >= 0
    pairs = np.unique(np.stack([found, expected])[:, inside], axis=1).shape[1]
    assert pairs == len(np.unique(found[inside])) == expected.max() + 1


def test_what_cannot_be_cut_is_said(cli, linked_run, judged_run, tmp_path):
    run = linked_run.folder
    for args, message in (
        ((run,), "Give one of --threshold, --finer and --coarser"),
        ((run, "--finer", "--coarser"), "Give one of"),
        ((run, "--threshold", 1), "at least 0 and below 1, not 1"),
        ((judged_run.folder, "--finer"), "cluster.method community, which cannot be cut"),
        ((tmp_path, "--finer"), "is no folder of a run"),
    ):
        code, _, err = cli("recluster", *args)
        assert (code, message in err) == (2, True), err
    half = RunLayout(shutil.copytree(run, tmp_path / "half"))
    other = read_artifact(half.epoch(1).clusters, CLUSTERS)
    assert "tree_merges" in other.arrays
    shutil.copy(half.epoch(1).graph, half.final.graph)
    code, _, err = cli("recluster", half.folder, "--finer")
    assert (code, "was made from another graph" in err) == (2, True), err
    half.final.clusters.unlink()
    code, _, err = cli("recluster", half.folder, "--finer")
    assert (code, "is not finished" in err) == (2, True), err
    shutil.copy(judged_run.final.clusters, half.final.clusters)
    code, _, err = cli("recluster", half.folder, "--finer")
    assert (code, "holds no merge tree" in err) == (2, True), err


def test_a_run_whose_cut_is_the_finest_says_so(cli, linked_run, tmp_path):
    run = RunLayout(shutil.copytree(linked_run.folder, tmp_path / "run"))
    config = load_config(run.config)
    run.config.write_text(dump_yaml(changed(config, cluster={"min_size": 50})))
    code, _, err = cli("recluster", run.folder, "--finer")
    assert (code, "There is no finer cut than at 0.7" in err) == (2, True), err


def test_inspect_tells_of_the_tree(cli, linked_run):
    tree = read_artifact(linked_run.final.clusters, CLUSTERS)
    code, said, _ = cli("inspect", linked_run.final.clusters)
    assert code == 0
    steps = len(tree["tree_heights"])
    assert f"tree: {steps} merges, up to a mean distance of {tree['tree_heights'][-1]:.3f}" in said
    assert "mprd recluster" in said
