"""Embed, search, assign, cluster features: against literal references, and by the commands."""

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from typer.testing import CliRunner

import mprd
from mprd.artifacts import (
    CLUSTERS,
    FEATURES,
    GALLERY,
    GRAPH,
    INDEX,
    JUDGEMENTS,
    read_artifact,
)
from mprd.cli.app import app
from mprd.config import validate
from mprd.data.image_paths import image_paths
from mprd.data.index import split_rows
from mprd.errors import UserError
from mprd.gcn.calibration import at_prior, estimate_prior
from mprd.inference.assign import assign_images
from mprd.inference.known_clusters import Clusters
from mprd.inference.threshold import suggest_threshold


def call(*args: object) -> str:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False).output


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def mean_of(rows: np.ndarray) -> np.ndarray:
    total = rows.sum(axis=0)
    return total / max(np.linalg.norm(total), 1e-12)


@pytest.fixture(scope="module")
def model(judged_run):
    return mprd.load_model(judged_run.final.model)


@pytest.fixture(scope="module")
def crops(market):
    return market / "market1501/Market-1501-v15.09.15/bounding_box_train"


@given(st.integers(1, 6), st.integers(0, 8), st.integers(1, 10), st.integers(0, 99))
def test_search_sorts_by_cosine(queries, gallery, k, seed):
    rng = np.random.default_rng(seed)
    query = unit(rng.normal(size=(queries, 4)))
    among = unit(rng.normal(size=(gallery, 4))) if gallery else np.empty((0, 4), np.float32)
    similarity, index = mprd.search(query, among, k)
    assert index.shape == similarity.shape == (queries, min(k, gallery))
    for q in range(queries):
        cosine = among @ query[q]
        np.testing.assert_allclose(similarity[q], np.sort(cosine)[::-1][:k], atol=1e-6)
        np.testing.assert_allclose(cosine[index[q]], similarity[q], atol=1e-6)


def test_search_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="must have rows of one length"):
        mprd.search(np.ones((1, 3), np.float32), np.ones((1, 4), np.float32))
    with pytest.raises(ValueError, match="k = 0"):
        mprd.search(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32), 0)


def test_a_path_and_a_folder_are_images(model, crops):
    paths = sorted(crops.iterdir())
    every = model.embed(paths)
    np.testing.assert_array_equal(model.embed(crops), every)
    np.testing.assert_array_equal(model.embed(str(crops)), every)
    np.testing.assert_allclose(model.embed(str(paths[3])), every[3:4], atol=1e-5)
    assert mprd.image_paths([paths[1], crops]) == [paths[1], *paths]
    with pytest.raises(UserError, match="neither an image nor a folder"):
        model.embed("nothing")
    similarity, index = model.search(paths[5], every, k=3)
    assert index[0, 0] == 5
    assert similarity[0, 0] == pytest.approx(1, abs=1e-4)


def test_commands_embed_and_search(model, judged_run, crops, tmp_path):
    weights = judged_run.final.model
    out = tmp_path / "g.h5"
    assert "54 images" in call("embed", crops, "--model", weights, "--out", out)
    stored = read_artifact(out, GALLERY)
    np.testing.assert_array_equal(stored["features"], model.embed(crops))
    call("embed", crops, "--model", weights, "--out", tmp_path / "g.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "g.npy"), stored["features"])
    query = sorted(crops.iterdir())[7]
    page = tmp_path / "found.html"
    options = ["--model", weights, "-k", 4, "--json"]
    said = json.loads(call("search", query, "--gallery", out, "--html", page, *options))
    matches = said[str(query)]
    assert matches[0]["path"] == str(query)
    assert [m["similarity"] for m in matches] == sorted(m["similarity"] for m in matches)[::-1]
    assert json.loads(call("search", query, "--gallery", crops, *options)) == said
    run = json.loads(call("search", query, "--gallery", judged_run.final.embeddings, *options))
    assert run[str(query)][0]["path"] == str(query)
    html = page.read_text()
    assert len(re.findall("<img ", html)) == 5
    assert 'class="query"' in html


def test_a_gallery_of_another_model_is_refused(judged_run, bare_run, crops, tmp_path):
    out = tmp_path / "g.h5"
    call("embed", crops, "--model", bare_run.final.model, "--out", out)
    with pytest.raises(UserError, match="was made by another model"):
        call("search", crops, "--model", judged_run.final.model, "--gallery", out)
    with pytest.raises(UserError, match=r"must end in .h5 or .npy"):
        call("embed", crops, "--model", judged_run.final.model, "--out", tmp_path / "g.txt")


@given(st.lists(st.integers(-1, 3), min_size=4, max_size=40), st.integers(0, 99))
def test_assignment_is_its_definition(raw, seed):
    raw = np.array(raw)
    labels = np.full(len(raw), -1)
    labels[raw >= 0] = np.unique(raw[raw >= 0], return_inverse=True)[1]
    rng = np.random.default_rng(seed)
    features, new = unit(rng.normal(size=(len(raw), 5))), unit(rng.normal(size=(6, 5)))
    sizes = np.bincount(labels[labels >= 0], minlength=1)
    if sizes.max() < 2:
        with pytest.raises(ValueError, match="no cluster of two images"):
            Clusters(features, labels)
        return
    clusters = Clusters(features, labels)
    means, similar = [], []
    for k in range(labels.max() + 1):
        members = np.flatnonzero(labels == k).tolist()
        means.append(mean_of(features[members]))
        others = [[j for j in members if j != i] for i in members]
        pairs = zip(members, others, strict=True)
        near = [float(features[i] @ mean_of(features[rest])) for i, rest in pairs if rest]
        similar.append(near)
    every = np.concatenate(similar)
    apart = np.concatenate([np.array(near) - np.mean(near) for near in similar if near])
    deviation = np.sqrt((apart**2).sum() / max(len(every) - sum(map(bool, similar)), 1))
    typical = [np.mean([*near, *[every.mean()] * 6]) for near in similar]  # six more are typical
    least = np.array(typical) - 1.2 * deviation
    np.testing.assert_allclose(clusters.means, means, atol=1e-5)
    np.testing.assert_allclose(clusters.least, least, atol=1e-5)
    found = clusters.assign(new)
    cosine = new @ np.array(means).T
    for i in range(6):
        best = int(cosine[i].argmax())
        assert found.similarity[i] == pytest.approx(cosine[i, best], abs=1e-5)
        assert found.cluster[i] == (best if cosine[i, best] >= clusters.least[best] else -1)
        rest = np.delete(cosine[i], best).max(initial=-1)
        assert found.margin[i] == pytest.approx(cosine[i, best] - rest, abs=1e-5)


def test_known_images_get_their_cluster_again(judged_run, crops, tmp_path):
    out = tmp_path / "a.csv"
    text = call("assign", crops, "--run", judged_run.folder, "--out", out)
    import pandas as pd

    table = pd.read_csv(out)
    labels = read_artifact(judged_run.final.clusters, CLUSTERS)["labels"]
    assert len(table) == 54
    inside = labels >= 0
    agree = (table["cluster"].to_numpy() == labels)[inside]
    assert agree.mean() > 0.7
    assert f"{(table['cluster'] >= 0).sum()} of 54 images" in text
    assert call("assign", crops, "--run", judged_run.folder).count("\n") == 55
    with pytest.raises(UserError, match="is no folder of a run"):
        call("assign", crops, "--run", tmp_path / "none")


def test_new_images_are_shown_beside_their_clusters(judged_run, crops, tmp_path):
    new, page, out = tmp_path / "new", tmp_path / "new.html", tmp_path / "new.csv"
    new.mkdir()
    for one in sorted(crops.iterdir())[:4]:
        shutil.copy(one, new)
    call("assign", new, "--run", judged_run.folder, "--out", out, "--html", page)
    text, table = page.read_text(), pd.read_csv(out)
    found = read_artifact(judged_run.final.clusters, CLUSTERS)
    shown = np.minimum(found["sizes"], 3)
    result = assign_images(judged_run.folder, [new]).result
    near = result.near
    assert near.shape == (4, min(3, len(shown)))
    np.testing.assert_array_equal(near[:, 0], result.nearest)
    assert (np.diff(result.near_similarity, axis=1) <= 0).all()
    np.testing.assert_array_equal(result.near_similarity[:, 0], result.similarity)
    # Each picture of the run is in the page once, whatever stands beside it.
    assert len(re.findall("<img ", text)) == 4 + shown[near].sum()
    for path, number in zip(table["path"], table["cluster"], strict=True):
        said = f"cluster {number}" if number >= 0 else "no cluster, perhaps someone new"
        assert f"{Path(path).name}: {said}" in text
    paths = read_artifact(judged_run.index, INDEX)["path"]
    for label in np.unique(near):
        inside = np.flatnonzero(found["labels"] == label)
        surest = inside[np.argsort(-found["membership"][inside], kind="stable")[:3]]
        rows = split_rows(read_artifact(judged_run.index, INDEX), "train")[surest]
        for path in paths[rows]:
            assert f"{path}, cluster {found['number'][label]}" in text


def test_a_search_leaves_out_what_is_too_far(judged_run, crops, tmp_path):
    query, page = sorted(crops.iterdir())[7], tmp_path / "found.html"
    options = [query, "--model", judged_run.final.model, "--gallery", crops, "--json"]
    every = json.loads(call("search", *options))[str(query)]
    least = every[4]["similarity"] - 1e-4
    near = json.loads(call("search", *options, "--at-least", least, "--html", page))[str(query)]
    assert near == [match for match in every if match["similarity"] >= least]
    assert 5 <= len(near) < len(every)
    assert len(re.findall("<img ", page.read_text())) == 1 + len(near)
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(sorted(crops.iterdir())[30], other)
    options = [query, "--model", judged_run.final.model, "--gallery", other, "--at-least", 1]
    assert "no match of 1 or more" in call("search", *options, "--html", page)
    assert "no match of 1 or more" in page.read_text()
    with pytest.raises(UserError, match=r"does not exist. Name the final/model.safetensors"):
        call("search", query, "--model", tmp_path / "none", "--gallery", crops)


def test_a_threshold_by_the_gcn_and_by_a_person(judged_run, bare_run, tmp_path):
    judged = json.loads(call("threshold", "--run", judged_run.folder, "--precision", 0.1, "--json"))
    assert (judged["pairs"], judged["judge"]) == (54 * 53 // 2, "the relation GCN")
    assert (judged["promised"], judged["found"]) == (None, None)
    final = judged_run.final
    graph, every = read_artifact(final.graph, GRAPH), read_artifact(final.features, FEATURES)
    probability = read_artifact(final.judgements, JUDGEMENTS)["probability"]
    relation = csr_array((probability, graph["indices"], graph["indptr"]), shape=(54, 54)).toarray()
    once = np.triu_indices(54, 1)
    stored = torch.from_numpy(relation[~np.eye(54, dtype=bool) & (relation > 0)])
    right = at_prior(torch.from_numpy(relation), estimate_prior(stored)).numpy()[once]
    similarity = (every["features"] @ every["features"].T)[once]
    least, *_ = suggest_threshold(similarity, right, 0.1)
    assert judged["similarity"] == pytest.approx(least, abs=1e-4)
    index = read_artifact(bare_run.index, INDEX)
    paths = index["path"][split_rows(index, "train")]
    answers = tmp_path / "pairs.csv"
    lines = [f"{paths[0]},{paths[n]},{int(n < 6)}\n" for n in range(1, 12)]
    answers.write_text("path_a,path_b,same\n" + "".join(lines))
    options = ["--run", bare_run.folder, "--pairs", answers]
    bare = read_artifact(bare_run.final.features, FEATURES)["features"]
    right = (np.arange(1, 12) < 6).astype(float)
    least, promised, found = suggest_threshold(bare[1:12] @ bare[0], right, 0.45)
    said = json.loads(call("threshold", *options, "--precision", 0.45, "--json"))
    assert said["similarity"] == pytest.approx(least, abs=1e-5)
    assert (said["promised"], said["found"]) == pytest.approx((promised, found), abs=1e-6)
    text = call("threshold", *options, "--precision", 0.45)
    assert f"Threshold: {least:.3f}\n{promised:.0%} of the pairs at or above it" in text
    assert f"\n{found:.0%} of all pairs" in text
    assert "by a person on 11 pairs" in text
    text = call("threshold", "--run", judged_run.folder, "--precision", 0.1)
    assert "the opinion of the relation GCN, a network" in text
    assert "%" not in text
    with pytest.raises(UserError, match=rf"is no folder of a run.* Perhaps {judged_run.folder}\?"):
        call("threshold", "--run", judged_run.final.folder)
    answers.write_text(f"path_a,path_b,same\n{paths[0]},{paths[1]},0\n")
    with pytest.raises(
        UserError, match=r"No threshold reaches a precision of 0.80, .* a person on 1 "
    ):
        call("threshold", *options)
    answers.write_text("path_a,path_b,same\n")
    with pytest.raises(UserError, match=r"pairs.csv has no judged pair"):
        call("threshold", *options)
    with pytest.raises(UserError, match=r"has no answers yet, and no predictions .* Judge some"):
        call("threshold", "--run", bare_run.folder)


def test_a_threshold_by_the_answers_of_the_run(bare_run):
    index = read_artifact(bare_run.index, INDEX)
    paths = index["path"][split_rows(index, "train")]
    answers = "".join(f"{paths[0]},{paths[n]},{int(n < 6)}\n" for n in range(1, 12))
    try:
        bare_run.decisions.write_text("path_a,path_b,same\n" + answers)
        assert "by a person on 11 pairs" in call(
            "threshold", "--run", bare_run.folder, "--precision", 0.45
        )
    finally:
        bare_run.decisions.unlink()


def test_features_of_any_network(judged_run, tmp_path):
    artifact = read_artifact(judged_run.final.features, FEATURES)
    features = artifact["features"] * 3  # any length
    np.save(tmp_path / "f.npy", features)
    (tmp_path / "c.yaml").write_text("graph: {k1: 8, k2: 3}\ncluster: {eps: 0.6, min_samples: 2}\n")
    out = tmp_path / "c.csv"
    config = validate({"graph": {"k1": 8, "k2": 3}, "cluster": {"min_samples": 2}}, "x")
    expected = mprd.cluster_features(features, config)
    _, neighbors = mprd.knn(artifact["features"], 8)
    distance = mprd.jaccard_distance(artifact["features"], neighbors, 8, 3)
    np.testing.assert_array_equal(expected.labels, mprd.dbscan(distance, 0.6, 2))
    options = ["--config", tmp_path / "c.yaml", "--out", out]
    assert "outliers of" in call("cluster-features", tmp_path / "f.npy", *options)
    lines = [line.split(",") for line in out.read_text().splitlines()]
    assert lines[0] == ["row", "cluster", "doubt"]
    assert [int(line[1]) for line in lines[1:]] == expected.labels.tolist()
    before = out.read_bytes()
    call("cluster-features", judged_run.final.features, *options)
    named = pd.read_csv(out)
    index = read_artifact(judged_run.index, INDEX, ("path",))
    assert named["path"].tolist() == [index["path"][row] for row in artifact["row"]]
    assert named["cluster"].tolist() == expected.labels.tolist()
    call("cluster-features", tmp_path / "f.npy", *options)
    assert out.read_bytes() == before
    with pytest.raises(UserError, match=r"--threshold changes the defaults, which --config"):
        call("cluster-features", tmp_path / "f.npy", *options, "--threshold", "0.5")


def test_the_defaults_for_features(tmp_path):
    rng = np.random.default_rng(5)
    identity, cameras = np.repeat(np.arange(9), 6), np.arange(54) % 3
    features = rng.normal(size=(9, 16))[identity] + rng.normal(size=(3, 16))[cameras]
    features = (features + 0.8 * rng.normal(size=(54, 16))).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    np.save(tmp_path / "f.npy", features)
    np.save(tmp_path / "c.npy", cameras)
    out = tmp_path / "c.csv"
    given = ["cluster-features", tmp_path / "f.npy", "--out", out]

    def labels(*options):
        call(*given, *options)
        return pd.read_csv(out)["cluster"].tolist()

    _, neighbors = mprd.knn(features, 12)
    distance = mprd.jaccard_distance(features, neighbors, 12, 3, 0.97)
    assert labels() == mprd.linkage(distance, 0.75, 2).tolist()
    assert labels() == mprd.cluster_features(features).labels.tolist()
    finer = labels("--threshold", "0.3")
    assert finer == mprd.linkage(distance, 0.3, 2).tolist() != labels()
    _, neighbors = mprd.knn(features, 6)
    fewer = mprd.jaccard_distance(features, neighbors, 6, 2, 0.97)
    assert labels("--per-identity", "4") == mprd.linkage(fewer, 0.75, 2).tolist()
    centred = mprd.center_cameras(features, cameras)
    _, neighbors = mprd.knn(centred, 12)
    distance = mprd.jaccard_distance(centred, neighbors, 12, 3, 0.97)
    expected = mprd.linkage(distance, 0.75, 2).tolist()
    assert labels("--cameras", tmp_path / "c.npy") == expected
    assert mprd.cluster_features(features, cameras=cameras).labels.tolist() == expected
    np.save(tmp_path / "c.npy", cameras[1:])
    with pytest.raises(UserError, match=r"53 cameras, .* has 54 rows"):
        labels("--cameras", tmp_path / "c.npy")
    with pytest.raises(UserError, match=r"--threshold must be above 0 and below 1, not 1"):
        labels("--threshold", "1")


def test_rows_get_the_paths_beside_them(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["features"] = rng.normal(size=(6, 4)).astype(np.float32)
        file["path"] = [f"{n}.jpg" for n in range(6)]
    call("cluster-features", tmp_path / "f.h5", "--out", tmp_path / "c.csv")
    assert pd.read_csv(tmp_path / "c.csv")["path"].tolist() == [f"{n}.jpg" for n in range(6)]
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        del file["path"]
        file["path"] = ["a.jpg"]
    with pytest.raises(UserError, match="1 path for 6 rows"):
        call("cluster-features", tmp_path / "f.h5", "--out", tmp_path / "c.csv")


def test_features_that_are_none(tmp_path):
    (tmp_path / "a.npy").write_text("x")
    np.save(tmp_path / "b.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "zero.npy", np.zeros((3, 4), np.float32))
    np.save(tmp_path / "whole.npy", np.zeros((3, 4), int))
    np.save(tmp_path / "one.npy", np.ones((1, 4), np.float32))
    for name, message in {
        "a.npy": "neither a .npy array",
        "b.npy": "neither a .npy array",
        "none.npy": "does not exist",
        "zero.npy": "is zero, NaN or infinite",
        "whole.npy": "must be floats",
        "one.npy": "at least two images",
    }.items():
        with pytest.raises(UserError, match=message):
            call("cluster-features", tmp_path / name, "--out", tmp_path / "c.csv")
    assert not (tmp_path / "c.csv").exists()
    good = np.eye(4, dtype=np.float32)
    for change, message in (
        ({"use_gcn": True, "cluster": {"method": "community", "relation": "judged"}}, "not judged"),
        ({"graph": {"cameras": "center"}}, "needs the cameras"),
        ({"cluster": {"constraints": "a.csv"}}, r"know no cluster\.constraints"),
        ({"cluster": {"self_paced": True}}, r"know no cluster\.self_paced"),
        ({"cluster": {"widen_step": 0.1}}, r"know no cluster\.widen_step"),
    ):
        with pytest.raises(UserError, match=message):
            mprd.cluster_features(good, validate(change, "x"))


def test_cameras_of_features(tmp_path):
    """Cameras that shift all features are taken away."""
    rng = np.random.default_rng(3)
    identity, camera = np.repeat(np.arange(12), 8), np.tile(np.arange(2), 48)
    shift = 4 * rng.normal(size=(2, 16))
    features = rng.normal(size=(12, 16))[identity] + shift[camera] + 0.2 * rng.normal(size=(96, 16))
    config = {"graph": {"k1": 10, "k2": 3, "cameras": "center"}, "cluster": {"min_samples": 2}}
    known = mprd.cluster_features(features, validate(config, "x"), camera)
    config["graph"]["cameras"] = "none"
    blind = mprd.cluster_features(features, validate(config, "x"))
    quality = [mprd.pair_quality(found.labels, identity).f1 for found in (known, blind)]
    assert quality[0] > quality[1] + 0.2


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
def test_a_threshold_keeps_its_promise(pairs):
    similarity = np.array([s / 10 for s, _ in pairs])
    right = np.array([float(r) for _, r in pairs])
    least, promised, found = suggest_threshold(similarity, right, 0.75)
    shares = {t: right[similarity >= t].mean() for t in set(similarity.tolist())}
    good = [t for t, share in shares.items() if share >= 0.75]
    if not good:
        assert np.isnan(least)
        assert found == 0
    else:
        assert least == min(good)
        assert promised == pytest.approx(shares[least])
        assert found == pytest.approx(right[similarity >= least].sum() / right.sum())


def test_image_paths_of_nothing(tmp_path):
    with pytest.raises(UserError, match="no images"):
        image_paths(tmp_path)


def test_damaged_images_are_left_out_when_asked(judged_run, crops, tmp_path):
    """With a note of each; unasked they stop the command, which writes nothing then."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for path in sorted(crops.iterdir())[:5]:
        shutil.copy(path, folder)
    (folder / "broken.jpg").write_bytes(next(folder.iterdir()).read_bytes()[:300])
    model, run = ["--model", judged_run.final.model], ["--run", judged_run.folder]
    query = sorted(crops.iterdir())[0]
    for command in (
        ["embed", folder, *model, "--out", tmp_path / "g.h5"],
        ["search", query, *model, "--gallery", folder, "--json"],
        ["assign", folder, *run, "--out", tmp_path / "a.csv"],
    ):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(UserError, match=r"broken\.jpg cannot be read .*--skip-unreadable"):
            call(*command)
        assert sorted(tmp_path.iterdir()) == before
        done = CliRunner().invoke(app, [str(a) for a in [*command, "--skip-unreadable"]])
        assert done.exit_code == 0
        assert done.stderr.count("note: left out.") == 1
        assert "broken.jpg" in done.stderr
        assert "broken.jpg" not in done.stdout
    assert len(read_artifact(tmp_path / "g.h5", GALLERY)["path"]) == 5
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 6
    with pytest.raises(UserError, match="None of the images can be read"):
        call("search", folder / "broken.jpg", *model, "--gallery", folder, "--skip-unreadable")
    assert not list(tmp_path.rglob(".*")), "a file of nobody stays beside the user's"
