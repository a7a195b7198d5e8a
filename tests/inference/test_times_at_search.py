"""Times at search, assignment and evaluation, with the synthetic people who walk."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

import mprd
from mprd.artifacts import CLUSTERS, FEATURES, INDEX, TRANSITIONS, read_artifact, write_artifact
from mprd.config import dump_yaml, load_config, merge, validate
from mprd.data.index import camera_names, split_rows
from mprd.evidence.fusion import correction
from mprd.evidence.transitions import learn_transitions
from mprd.evidence.travel import stored_transitions
from mprd.inference.known_clusters import Clusters
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.location import data_location
from mprd.stages.run_stage import run_stage
from mprd.stages.synthesize import run_synthesize
from tests.conftest import TINY
from tests.stages.pipeline import changed, finish

PEOPLE = {"train_identities": 60, "test_identities": 25, "distractors": 5, "cameras": 3}


def relearn(layout, step, index):
    """Learn the transitions of a step as if similarity knew who is who, which our network cannot.

    Of each person three of four pairs are the most similar ones, among as many wrong ones.
    """
    rows = split_rows(index, "train")
    who, rng = index["identity"][rows], np.random.default_rng(0)
    same = (who[:, None] == who) & (rng.random((len(who), len(who))) < 0.75)
    wrong = rng.random(same.shape) < same.sum() / same.size
    near = np.triu(same | wrong, 1)
    near |= near.T
    first, second = np.nonzero(near)
    distance = csr_array((np.full(len(first), 0.5, np.float32), (first, second)), shape=same.shape)
    found = learn_transitions(index["time"][rows], index["camera"][rows], distance)
    path = layout.step(step).transitions
    old = read_artifact(path, TRANSITIONS)
    names = ("edges", "log_ratio", "seeds", "background", "evidence")
    attributes = old.attributes | {"gain": found.gain, "error": found.error}
    arrays = {name: getattr(found, name) for name in names}
    write_artifact(path, TRANSITIONS, arrays, config={}, inputs=old.inputs, attributes=attributes)


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory):
    """A run on people who walk; its network is too poor to learn anything of their times."""
    folder = tmp_path_factory.mktemp("walk")
    more = {"epochs": 1, "use_time": True, "evaluate": {"time": True}}
    more["data"] = {"dataset": "synthetic", "root": str(folder / "images"), "synthetic": PEOPLE}
    more["graph"] = {"k1": 15, "k2": 4, "eps_max": 0.97}
    more["cluster"] = {"method": "linkage", "threshold": 0.85, "min_size": 2}
    more["train"] = {"use_hsd": False, "use_ppa": False}
    config = validate(merge(TINY, more), "walking")
    run_synthesize(out=data_location(config), config=config)
    return finish(folder / "run", config)


@pytest.fixture(scope="module")
def walking_run(plain_run, tmp_path_factory):
    """The same, whose transitions tell who is who."""
    layout = RunLayout(shutil.copytree(plain_run.folder, tmp_path_factory.mktemp("w") / "run"))
    index = read_artifact(layout.index, INDEX)
    for step in (1, "final"):
        relearn(layout, step, index)
    run_stage("evaluate", layout, load_config(layout.config), step="001")
    return layout


@pytest.fixture(scope="module")
def index(walking_run):
    return read_artifact(walking_run.index, INDEX)


@pytest.fixture(scope="module")
def learnt(walking_run):
    found = read_artifact(walking_run.final.transitions, TRANSITIONS)
    return stored_transitions(found.arrays, found.attributes)


def path_of(index, row):
    return Path(index.attributes["root"]) / index["path"][row]


def expected_scores(index, learnt, model, queries, gallery, settings):
    """Corrected similarities, one pair after the other."""
    one, other = (model.embed([path_of(index, row) for row in rows]) for rows in (queries, gallery))
    scores = one @ other.T
    for n, q in enumerate(queries):
        for m, g in enumerate(gallery):
            times, cameras = index["time"], index["camera"]
            pair = [np.array(v) for v in (times[q], cameras[q], times[g], cameras[g])]
            scores[n, m] += correction(mprd.time_evidence(learnt, *pair), settings)
    return scores


def test_a_second_row_of_the_evaluation_and_the_same_first(walking_run, plain_run, index, learnt):
    assert learnt.informative
    report = json.loads(walking_run.evaluation("001").read_text())
    before = json.loads(plain_run.evaluation("001").read_text())
    main_row = {key: report[key] for key in ("mAP", "rank1", "rank5", "rank10", "mINP")}
    assert main_row == {key: before[key] for key in main_row}
    timed = report["with_time"]
    assert set(timed) == {*main_row, "num_timed_queries"}
    assert timed["num_timed_queries"] == report["num_valid_queries"]
    assert timed["mAP"] > report["mAP"] + 0.1
    assert "with_time" not in json.loads(walking_run.evaluation("000").read_text())
    # Times that tell nothing change nothing, and that is said.
    silent = before["with_time"]
    assert {key: silent[key] for key in main_row} == main_row
    assert silent["num_timed_queries"] == 0
    query, gallery = split_rows(index, "query"), split_rows(index, "gallery")
    model = mprd.load_model(walking_run.epoch(1).model, precision="float32")
    settings = load_config(walking_run.config).time
    scores = expected_scores(index, learnt, model, query[:6], gallery, settings)
    who, camera = index["identity"], index["camera"]
    sides = who[query[:6]], camera[query[:6]], np.empty((len(gallery), 1)), who[gallery]
    first = mprd.evaluate(
        np.empty((6, 1)), *sides, camera[gallery], distance=-scores
    ).first_hit_rank
    every = mprd.time_evidence(
        learnt,
        index["time"][query][:, None],
        camera[query][:, None],
        index["time"][gallery],
        camera[gallery],
    )
    features = [model.embed([path_of(index, r) for r in rows]) for rows in (query, gallery)]
    whole = mprd.evaluate(
        features[0],
        who[query],
        camera[query],
        features[1],
        who[gallery],
        camera[gallery],
        correction=lambda block: correction(every[block], settings),
    )
    assert whole.first_hit_rank[:6].tolist() == first.tolist()
    assert timed["mAP"] == pytest.approx(whole.map, abs=1e-4)


def test_the_table_keeps_both_rows_apart(walking_run, cli, tmp_path):
    code, said, _ = cli("table", walking_run.folder, "--out", tmp_path / "m.csv")
    assert code == 0
    table = pd.read_csv(tmp_path / "m.csv", dtype={"model": str}).set_index("model")
    report = json.loads(walking_run.evaluation("001").read_text())
    assert table.loc["1", "mAP"] == pytest.approx(report["mAP"], rel=1e-5)
    assert table.loc["1", "mAP_time"] == pytest.approx(report["with_time"]["mAP"], rel=1e-5)
    assert pd.isna(table.loc["init", "mAP_time"])
    assert "with times" in said


def test_a_search_is_the_best_of_corrected_similarities(walking_run, index, learnt, cli):
    query, gallery = split_rows(index, "query")[:3], split_rows(index, "gallery")
    model = walking_run.final.model
    files = [path_of(index, row) for row in query]
    folder = path_of(index, gallery[0]).parent
    options = ["--model", model, "--gallery", folder, "-k", 5, "--json"]
    code, said, err = cli("search", *files, *options, "--times")
    assert code == 0
    count = f"{len(gallery)} of {len(gallery)} gallery images"
    assert f"times: used for 3 of 3 queries and {count}" in err
    settings = load_config(walking_run.config).time
    scores = expected_scores(index, learnt, mprd.load_model(model), query, gallery, settings)
    for n, matches in enumerate(json.loads(said).values()):
        best = np.sort(scores[n])[::-1][:5]
        np.testing.assert_allclose([m["similarity"] for m in matches], best, atol=2e-4)
        places = {str(path_of(index, row)): m for m, row in enumerate(gallery)}
        found = [scores[n, places[m["path"]]] for m in matches]
        np.testing.assert_allclose(found, best, atol=2e-4)
        assert all(abs(m["evidence"]) <= settings.most for m in matches)
    # Without the option nothing has changed; with it the gallery can be a run's embeddings.
    plain = json.loads(cli("search", *files, *options)[1])
    assert plain != json.loads(said)
    assert set(plain[str(files[0])][0]) == {"path", "similarity", "camera", "time", "track", "side"}
    options[3] = walking_run.final.embeddings
    code, every, err = cli("search", *files, *options, "--times")
    assert (code, f"of {len(index['path'])} gallery images" in err) == (0, True)
    assert json.loads(every)[str(files[0])][0]["path"] == str(files[0])


def test_a_query_without_time_or_of_an_unknown_camera(walking_run, index, cli, tmp_path):
    rows = split_rows(index, "query")[:3]
    files = [tmp_path / f"{n}.png" for n in range(3)]
    for file, row in zip(files, rows, strict=True):
        shutil.copy(path_of(index, row), file)
    names = camera_names(index)
    lines = ["path,camera,frame", f"0.png,{names[0]},1000", "1.png,roof,1000", f"2.png,{names[0]},"]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    gallery = walking_run.final.embeddings
    options = [*files, "--model", walking_run.final.model, "--gallery", gallery, "--json"]
    given = ["--manifest", tmp_path / "m.csv"]
    code, said, err = cli("search", *options, "--times", *given)
    assert code == 0
    assert "times: used for 1 of 3 queries" in err
    assert "queries: 1 without a time, 1 of a camera that the run does not know" in err
    timed, plain = json.loads(said), json.loads(cli("search", *options)[1])
    for number, file in enumerate(files):
        bare = [{k: m[k] for k in ("path", "similarity")} for m in timed[str(file)]]
        same = [m["similarity"] for m in bare] == [m["similarity"] for m in plain[str(file)]]
        assert same == (number > 0)
        assert all(m["evidence"] == 0 for m in timed[str(file)]) == (number > 0)
    assert "used for 0 of 3 queries" in cli("search", *options, "--times")[2]
    for more, message in (
        (["assign", *files, "--run", walking_run.folder, *given], "add --times"),
        (
            ["search", *options, "--times", "--manifest", tmp_path / "s.csv"],
            "are seconds, those of the run frames",
        ),
    ):
        (tmp_path / "s.csv").write_text("path,time\n0.png,12\n")
        code, _, err = cli(*more)
        assert (code, message in err) == (2, True), err


def test_patterns_of_the_run_find_time_and_camera(walking_run, index, cli, tmp_path):
    run = RunLayout(shutil.copytree(walking_run.folder, tmp_path / "run"))
    data = {"camera": r"c(\d)s", "time": r"s1_(\d+)_", "time_format": "frames"}
    run.config.write_text(dump_yaml(changed(load_config(run.config), data=data)))
    row = split_rows(index, "query")[0]
    file = tmp_path / "new" / path_of(index, row).name
    file.parent.mkdir()
    shutil.copy(path_of(index, row), file)
    options = ["--gallery", run.final.embeddings, "--json", "--times"]
    code, found, err = cli("search", file, "--model", run.final.model, *options)
    assert (code, "used for 1 of 1 queries" in err) == (0, True)
    known = cli("search", path_of(index, row), "--model", walking_run.final.model, *options)[1]
    assert list(json.loads(found).values()) == list(json.loads(known).values())
    odd = file.with_name("c1s1_x_.png")
    shutil.copy(file, odd)
    assert "used for 0 of 1 queries" in cli("search", odd, "--model", run.final.model, *options)[2]


def test_what_times_need(walking_run, plain_run, bare_run, index, cli, tmp_path):
    row = split_rows(index, "query")[0]
    options = [path_of(index, row), "--gallery", walking_run.final.embeddings, "--times"]
    shutil.copy(walking_run.final.model, tmp_path / "model.safetensors")
    code, _, err = cli("search", *options, "--model", tmp_path / "model.safetensors")
    assert (code, "lies in no folder of a run" in err) == (2, True), err
    code, _, err = cli("search", *options, "--model", bare_run.final.model)
    assert (code, "has learnt nothing of times. Set use_time" in err) == (2, True), err
    options[2] = plain_run.final.embeddings
    code, said, err = cli("search", *options, "--model", plain_run.final.model, "-k", 3)
    assert (code, "in this run they tell nothing" in err) == (0, True), err
    assert all("+0.0" in line for line in said.splitlines()[1:])
    page = tmp_path / "p.html"
    cli("search", *options, "--model", plain_run.final.model, "--html", page)
    assert "corrected by the times" in page.read_text()


def test_assignment_with_times(walking_run, index, learnt, cli, tmp_path):
    rows = split_rows(index, "train")
    folder, out = path_of(index, rows[0]).parent, tmp_path / "a.csv"
    options = [folder, "--run", walking_run.folder, "--out", out]
    assert cli("assign", *options)[0] == 0
    plain = pd.read_csv(out)
    code, _, err = cli("assign", *options, "--times")
    assert code == 0
    assert f"times: used for {len(rows)} of {len(rows)} images" in err
    table = pd.read_csv(out)
    assert list(table.columns) == [*plain.columns, "evidence"]
    assert (table["camera"] != "").all()
    # One by one: the mean evidence with the images of each cluster.
    labels = read_artifact(walking_run.final.clusters, CLUSTERS)["labels"]
    features = read_artifact(walking_run.final.features, FEATURES)["features"]
    clusters, time, camera = Clusters(features, labels), index["time"][rows], index["camera"][rows]
    settings = load_config(walking_run.config).time
    embedded = mprd.load_model(walking_run.final.model).embed(folder)
    for n in range(0, len(rows), 60):
        evidence = mprd.time_evidence(learnt, time[n], camera[n], time, camera)
        evidence = evidence.clip(-settings.most, settings.most)
        mean = np.array([evidence[labels == k].mean() for k in range(labels.max() + 1)])
        scores = clusters.means @ embedded[n] + settings.weight * mean
        best = scores.argmax()
        assert table["similarity"][n] == pytest.approx(scores[best], abs=2e-3)
        assert table["evidence"][n] == pytest.approx(mean[best], abs=2e-3)
        assert table["cluster"][n] == (best if scores[best] >= clusters.least[best] else -1)
    who = index["identity"][rows]

    def share(found):
        of = found["cluster"].to_numpy()
        known = {k: np.bincount(who[labels == k]).argmax() for k in range(labels.max() + 1)}
        return np.mean([known.get(c, -1) == w for c, w in zip(of, who, strict=True)])

    assert share(table) > share(plain)
