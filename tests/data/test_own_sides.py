"""The side of an animal that an image shows: patterns, manifests, the index, and a whole run."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.config import validate
from mprd.data.datasets import read_dataset
from mprd.data.index import name_sides, side_codes
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.errors import UserError
from mprd.judging.audit_session import audit_session
from mprd.judging.count import begin_count
from mprd.judging.count_file import read_count
from mprd.judging.questions import questions
from mprd.stages.index import run_index
from tests.data.planted import plant_images
from tests.stages.pipeline import finish_given

SIDES = ("left", "right", "unknown")


def sides_of(listing):
    return {record.path: record.side for record in listing.records}


def test_sides_in_paths(tmp_path: Path) -> None:
    plant_images(tmp_path, "a_left.png", "b_right.png", "c_unknown.png", "d.png")
    found = sides_of(read_dataset("folder", tmp_path, side=r"_(\w+)\."))
    assert found == {"a_left.png": "left", "b_right.png": "right", "c_unknown.png": "", "d.png": ""}
    with pytest.raises(UserError, match=r"data\.side: '\(up\)' fits no path"):
        read_dataset("folder", tmp_path, side="(up)")
    with pytest.raises(UserError, match=r"put the side's name, and nothing else, in parentheses"):
        validate({"data": {"side": "(left)|(right)"}}, "x")


def test_sides_of_a_manifest_and_the_index(tmp_path: Path, capsys) -> None:
    plant_images(tmp_path, *(f"{n}.png" for n in range(6)))
    cells = ["left", "Unknown", "right", "", "n/a", "right"]
    lines = [f"{n}.png,{cell}" for n, cell in enumerate(cells)]
    (tmp_path / "m.csv").write_text("\n".join(["path,side", *lines]) + "\n")
    data = {"dataset": "folder", "root": str(tmp_path / "m.csv")}
    run_index(out=tmp_path / "index.h5", config=validate({"data": data}, "x"))
    assert "images by side: left (1), right (2), unknown (3)" in capsys.readouterr().out
    index = read_artifact(tmp_path / "index.h5", INDEX)
    every = np.arange(6)
    assert side_codes(index, every).tolist() == [0, -1, 1, -1, -1, 1]
    assert name_sides(index, every).tolist() == ["left", "", "right", "", "", "right"]
    run_index(
        out=tmp_path / "b.h5", config=validate({"data": {**data, "root": str(tmp_path)}}, "x")
    )
    plain = read_artifact(tmp_path / "b.h5", INDEX, ("path", "side"))
    assert set(plain.arrays) == {"path"}, "without sides the file is as before"
    assert name_sides(plain, every).tolist() == [""] * 6


def test_too_many_sides_are_no_sides(tmp_path: Path) -> None:
    plant_images(tmp_path, *(f"{n:03d}.png" for n in range(130)))
    data = {"dataset": "folder", "root": str(tmp_path), "side": r"(\d+)"}
    with pytest.raises(UserError, match="name 130 sides, first '000'; at most 127"):
        run_index(out=tmp_path / "index.h5", config=validate({"data": data}, "x"))


@pytest.fixture(scope="module", params=["linkage", "dbscan"])
def flanks(request, tmp_path_factory):
    """A run on 6 animals, 6 images a side and two of none; both sides look alike."""
    folder = tmp_path_factory.mktemp("flanks")
    root = folder / "images"
    names = [
        f"cam{n % 2}/{who}{n}_{SIDES[min(n // 6, 2)]}.png" for who in "abcdef" for n in range(14)
    ]
    plant_images(root, *names)
    order = sorted(names)
    who = np.array(["abcdef".index(name[5]) for name in order])
    rng = np.random.default_rng(1)
    features = rng.normal(size=(6, 16))[who] + 0.25 * rng.normal(size=(len(order), 16))
    np.save(folder / "f.npy", features.astype(np.float32))
    (folder / "f.txt").write_text("\n".join(order) + "\n")
    cluster = {"method": request.param, "min_size": 2}
    cluster |= {"threshold": 0.9} if request.param == "linkage" else {"eps": 0.7}
    data = {"dataset": "folder", "root": str(root), "side": r"_(\w+)\.", "camera": r"cam(\d)"}
    graph = {"k1": 20, "k2": 2, "eps_max": 0.97}
    run, _ = finish_given(folder, {"data": data, "graph": graph, "cluster": cluster})
    return run, features


def parts(run):
    """Return labels, animals and sides of the images of a run."""
    index = read_artifact(run.index, INDEX)
    labels = read_artifact(run.final.clusters, CLUSTERS)["labels"]
    who = np.array([path[5] for path in index["path"]])
    return labels, who, name_sides(index, np.arange(len(labels)))


def test_clusters_show_one_side(flanks):
    run, _ = flanks
    labels, who, side = parts(run)
    shown = [set(side[labels == k]) - {""} for k in range(labels.max() + 1)]
    assert all(len(one) <= 1 for one in shown)
    assert len(shown) == 12, "an animal has a cluster for each side"
    assert all(len(set(who[labels == k])) == 1 for k in range(12))
    assert (labels >= 0).all()


def test_questions_and_audits_ask_about_one_side(flanks):
    run, _ = flanks
    index = read_artifact(run.index, INDEX)
    names = dict(zip(index["path"], name_sides(index, np.arange(84)), strict=True))
    asked = [one.paths for one in questions(run.folder, 40)]
    audited = [one.paths for one in audit_session(run.folder, 60).questions]
    assert asked
    assert audited
    for one, other in (*asked, *audited):
        assert {names[one], names[other]} != {"left", "right"}


def test_a_right_flank_is_no_answer_for_a_left_one(flanks, cli, tmp_path):
    run, features = flanks
    queries = tmp_path / "q.npy"
    np.save(queries, features)
    index = read_artifact(run.index, INDEX)
    paths = [f"{index.attributes['root']}/{path}" for path in index["path"]]
    queries.with_suffix(".txt").write_text("\n".join(paths) + "\n")
    gallery = run.final.embeddings
    options = ["--features", queries, "--gallery", gallery, "--json", "-k", 84]
    code, said, err = cli("search", *options)
    assert code == 0, err
    found = json.loads(said)
    for path, matches in found.items():
        own = path.rpartition("_")[2][:-4]
        sides = [match["side"] for match in matches]
        assert len(sides) == (84 if own == "unknown" else 48)
        assert own == "unknown" or set(sides) == {own, ""}
    out = tmp_path / "a.csv"
    assert cli("assign", "--run", run.folder, "--features", queries, "--out", out)[0] == 0
    table = pd.read_csv(out)
    labels, _, side = parts(run)
    shown = [next(iter(set(side[labels == k]) - {""})) for k in range(12)]
    known = table[table["cluster"] >= 0]
    assert len(known) > 60
    for path, cluster in zip(known["path"], known["cluster"], strict=True):
        assert path.rpartition("_")[2][:-4] in (shown[cluster], "unknown")


def test_each_side_is_counted_by_itself(flanks):
    run, _ = flanks
    assert begin_count(run.folder, 40, "left").checks == 6
    assert {path[-8:-4] for path in read_count(run.count).paths} == {"left"}
    assert begin_count(run.folder, 40, "right").side == "right"
    assert read_count(run.count.with_suffix(".1.csv")).side == "left"
    run.count.unlink()
    with pytest.raises(UserError, match=r"No image shows the side 'up'. Known are left, right\."):
        begin_count(run.folder, 40, "up")


def test_a_merge_of_both_sides_is_one_identity(flanks, cli):
    run, _ = flanks
    _, who, side = parts(run)
    index = read_artifact(run.index, INDEX)
    ends = [index["path"][(who == "a") & (side == one)] for one in ("left", "right")]
    log = DecisionLog(run.decisions)
    merge = log.append(Decision(Kind.MERGE, tuple(ends[0]), tuple(ends[1])))
    log.append(Decision(Kind.RENAME, tuple(ends[0]), value="Ada"))
    code, _, err = cli("apply", run.folder)
    assert code == 0, err
    after, _, _ = parts(run)
    assert after.max() + 1 == 11
    assert len(set(after[(who == "a") & (side != "")])) == 1
    assert set(side[after == after[who == "a"][0]]) >= {"left", "right"}
    rest = who != "a"
    for k in range(11):
        assert len(set(side[(after == k) & rest]) - {""}) <= 1
    log.undo(merge.entry)
    cli("apply", run.folder)
    assert parts(run)[0].max() + 1 == 12
