"""Judgements of all stored pairs, and clusters made from them, in process."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array
from sklearn.metrics import roc_auc_score

from mprd.artifacts import CLUSTERS, COLLECTED, FEATURES, GRAPH, INDEX, JUDGEMENTS, read_artifact
from mprd.clustering.community import community
from mprd.clustering.operating_point import GAMMAS, confident_pairs, share_together
from mprd.config import Config
from mprd.data.index import split_rows
from mprd.decisions.answers import read_answers
from mprd.errors import FINAL, UserError
from mprd.gcn.relation_tasks import RelationTasks
from mprd.gcn.weights import load_gcn
from mprd.pipeline.files import files_read
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.stages import stage
from mprd.stages.cluster import PROVISIONAL_GAMMA, run_cluster
from mprd.stages.judge import run_judge, stored_pairs
from tests.stages.pipeline import GCN, JUDGED, arguments, changed, export, label, start, train


@pytest.fixture(scope="module")
def config(tiny_config) -> Config:
    return changed(changed(tiny_config, **GCN), cluster=JUDGED)


@pytest.fixture(scope="module")
def run(tmp_path_factory, config):
    """One epoch with judged clusters, and the labels of the next."""
    folder = tmp_path_factory.mktemp("judged")
    start(folder, config)
    label(folder, 1, config)
    train(folder, 1, config)
    label(folder, 2, config)
    return folder


@pytest.fixture
def copy(run, tmp_path):
    return RunLayout(Path(shutil.copytree(run, tmp_path / "run")))


@pytest.mark.parametrize("seed", range(5))
def test_every_entry_finds_its_pair(seed):
    half = random_array((12, 12), density=0.3, rng=np.random.default_rng(seed)).tocsr()
    matrix = csr_array(half + half.T + np.eye(12))
    matrix.sort_indices()
    pairs, place = stored_pairs(matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32))
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert len(set(map(tuple, pairs.tolist()))) == len(pairs)
    rows = np.repeat(np.arange(12), np.diff(matrix.indptr))
    for i, j, where in zip(rows.tolist(), matrix.indices.tolist(), place.tolist(), strict=True):
        if i == j:
            assert where == len(pairs)
        else:
            assert pairs[where].tolist() == [min(i, j), max(i, j)]


@pytest.mark.parametrize("epoch", [1, 2])
def test_judgements_are_those_of_the_gcn_before(run, config, epoch):
    layout = RunLayout(run)
    here = layout.epoch(epoch)
    found = read_artifact(here.judgements, JUDGEMENTS)
    graph, features = read_artifact(here.graph, GRAPH), read_artifact(here.features, FEATURES)
    index = read_artifact(layout.index, INDEX)
    rows = split_rows(index, "train")
    before = layout.initial_gcn if epoch == 1 else layout.epoch(1).gcn
    gcn, header = load_gcn(before, 192)
    assert found.inputs["gcn"] == header["digest"]
    relations = RelationTasks(
        network=gcn,
        memory=torch.from_numpy(features["features"]),
        graph=graph,
        labels=torch.from_numpy(
            read_artifact(here.provisional_clusters, CLUSTERS)["labels"]
        ).long(),
        cameras=index["camera"][rows],
        settings=config.gcn,
        generator=torch.Generator().manual_seed(config.seed),
    )
    i = np.repeat(np.arange(len(rows)), np.diff(graph["indptr"]))
    j = graph["indices"]
    pairs = torch.from_numpy(np.stack([i, j], axis=1).astype(np.int64)[i != j])
    alone = relations.judge.probability(pairs)  # each pair from both of its ends
    np.testing.assert_allclose(found["probability"][i != j], alone, atol=1e-5)
    assert (found["probability"][i == j] == 1).all()
    who = index["identity"][rows]
    same = (who[i] == who[j])[i != j]
    assert found.attributes["true_share"] == pytest.approx(same.mean())
    assert found.attributes["auc"] == pytest.approx(roc_auc_score(same, alone), abs=1e-4)
    brier = ((alone.numpy() - same) ** 2).mean()
    assert found.attributes["brier"] == pytest.approx(brier, abs=1e-5)
    accepted = (alone.numpy() >= 0.5).mean()
    assert found.attributes["accepted"] == pytest.approx(accepted, abs=1e-3)


def test_clusters_are_communities_of_the_judgements(run, config):
    here = RunLayout(run).epoch(2)
    graph = read_artifact(here.graph, GRAPH)
    dense = np.zeros((len(graph["indptr"]) - 1,) * 2)
    rows = np.repeat(np.arange(len(dense)), np.diff(graph["indptr"]))
    near = graph["data"] <= config.cluster.eps
    judged = read_artifact(here.judgements, JUDGEMENTS)["probability"]
    dense[rows[near], graph["indices"][near]] = judged[near]
    found = read_artifact(here.clusters, CLUSTERS)
    expected = community(csr_array(dense), config.cluster.gamma, config.cluster.min_size)
    np.testing.assert_array_equal(found["labels"], expected)
    assert found.attributes["relation"] == "judged"
    provisional = read_artifact(here.provisional_clusters, CLUSTERS)
    assert provisional.attributes["relation"] == "jaccard"
    dense[rows[near], graph["indices"][near]] = 1 - graph["data"][near]
    expected = community(csr_array(dense), PROVISIONAL_GAMMA, config.cluster.min_size)
    np.testing.assert_array_equal(provisional["labels"], expected)


def test_gamma_is_chosen_by_confident_pairs(copy, config):
    here = copy.epoch(2)
    chosen = changed(config, cluster={"gamma": "auto"})
    files = {"index": copy.index, "graph": here.graph, "judgements": here.judgements}
    run_cluster(**files, out=copy.folder / "auto.h5", config=chosen)
    found = read_artifact(copy.folder / "auto.h5", CLUSTERS)
    gamma = found.attributes["gamma"]
    assert gamma in GAMMAS
    fixed = changed(config, cluster={"gamma": gamma})
    run_cluster(**files, out=copy.folder / "fixed.h5", config=fixed)
    again = read_artifact(copy.folder / "fixed.h5", CLUSTERS)
    np.testing.assert_array_equal(found["labels"], again["labels"])
    index = read_artifact(copy.index, INDEX)
    cameras = index["camera"][split_rows(index, "train")]
    pairs = confident_pairs(read_artifact(here.graph, GRAPH)["neighbors"], cameras)
    together = share_together(found["labels"], pairs)
    assert found.attributes["confident_together"] == pytest.approx(together)


def test_the_same_bytes_again(copy, run, config):
    torch.rand(3)
    run_judge(**arguments("judge", copy.folder, config, 2))
    again, before = (
        read_artifact(layout.epoch(2).judgements, JUDGEMENTS) for layout in (copy, RunLayout(run))
    )
    assert again.digest == before.digest


def test_the_export_judges_too(copy, config):
    """At the end the relation GCN of the last epoch predicts."""
    once, end = changed(config, epochs=1), copy.final
    export(copy, once)
    assert read_artifact(end.clusters, CLUSTERS).attributes["relation"] == "judged"
    provisional = read_artifact(end.provisional_clusters, CLUSTERS)
    assert provisional.attributes["relation"] == "jaccard"
    graph, found = read_artifact(end.graph, GRAPH), read_artifact(end.judgements, JUDGEMENTS)
    assert found.inputs["graph"] == graph.digest
    assert found.inputs["gcn"] == load_gcn(copy.epoch(1).gcn, 192)[1]["digest"]
    end.judgements.unlink()
    with pytest.raises(UserError, match=r"judgements\.h5 does not exist.*`mprd judge`"):
        run_cluster(**arguments("cluster", copy.folder, once, FINAL), final=True)


def test_a_fixed_gcn_predicts_at_the_end_too(copy, config):
    still = changed(config, gcn={"learn": False})
    for step in (1, 2, FINAL):
        files = files_read(stage("judge"), copy, step, still)
        assert copy.initial_gcn in files.values()


def test_what_does_not_fit_is_refused(copy, config):
    here, first = copy.epoch(2), copy.epoch(1)
    asked = {"index": copy.index, "graph": here.graph, "out": here.clusters}
    with pytest.raises(UserError, match=r"--judgements goes with cluster\.relation: judged"):
        run_cluster(
            **asked,
            judgements=here.judgements,
            config=changed(config, cluster={"relation": "jaccard"}),
        )
    message = r"judgements\.h5 was made from another graph.h5 .*Make it again with `mprd judge`"
    with pytest.raises(UserError, match=message):
        run_cluster(**asked, judgements=first.judgements, config=config)
    run_cluster(**asked, config=config)  # by hand, without the judgements
    with pytest.raises(UserError, match="by relation jaccard, the config says judged"):
        train(copy.folder, 2, config)
    files = arguments("judge", copy.folder, config, 2)
    of_first = {name: getattr(first, name) for name in ("features", "graph")}
    with pytest.raises(UserError, match="was made from judgements"):
        run_judge(**files | of_first | {"provisional_clusters": first.clusters})
    with h5py.File(first.features, "r+") as file:
        file["features"][0] *= -1
    with pytest.raises(UserError, match=r"features\.h5 .*Make it again"):
        run_judge(**files | {"features": first.features})


def test_without_hard_pairs_the_gcn_still_learns(copy, config):
    plain = changed(config, train={"use_hsd": False, "use_ppa": False})
    train(copy.folder, 1, plain)
    files = (copy.initial_gcn, copy.epoch(1).gcn)
    before, after = (load_gcn(file, 192)[1]["digest"] for file in files)
    assert before != after
    assert len(read_artifact(copy.epoch(1).collected, COLLECTED)["pairs"]) == 0


def answers(run: RunLayout, labels: np.ndarray, rows: list[tuple[int, int, int]]) -> Path:
    """Write answers on pairs of training rows."""
    index = read_artifact(run.index, INDEX)
    paths = index["path"][split_rows(index, "train")]
    lines = [f"{paths[a]},{paths[b]},{same}" for a, b, same in rows]
    file = run.folder / "answers.csv"
    file.write_text("path_a,path_b,same\n" + "\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("method", ["dbscan", "judged"])
def test_answers_hold_in_the_clusters(copy, config, method):
    here = copy.epoch(1)
    if method == "dbscan":
        plain = {"method": "dbscan", "relation": "jaccard", "eps": 0.7, "min_samples": 2}
        config = changed(config, cluster=plain)
    judgements = here.judgements if config.uses_judgements else None
    out = copy.folder / "c.h5"
    options = {"index": copy.index, "graph": here.graph, "judgements": judgements, "out": out}
    run_cluster(**options, config=config)
    before = read_artifact(out, CLUSTERS)["labels"]
    inside = np.flatnonzero(before == 0)
    others = np.flatnonzero((before != 0) & (before >= 0))
    asked = [(int(inside[0]), int(inside[-1]), 0), (int(inside[0]), int(others[0]), 1)]
    file = answers(copy, before, asked)
    config = changed(config, cluster={"constraints": str(file), "constrain_training": True})
    run_cluster(**options, config=config)
    found = read_artifact(out, CLUSTERS)
    labels = found["labels"]
    assert labels[inside[0]] == labels[others[0]] >= 0
    assert labels[inside[0]] != labels[inside[-1]]
    assert found.attributes["num_outliers"] == (labels < 0).sum()
    assert len(found["sizes"]) == labels.max() + 1


def test_answers_that_leave_one_cluster_are_refused_for_training(copy, config):
    here, out = copy.epoch(1), copy.folder / "c.h5"
    before = read_artifact(here.clusters, CLUSTERS)["labels"]
    firsts = [int(np.flatnonzero(before == number)[0]) for number in range(before.max() + 1)]
    file = answers(copy, before, [(firsts[0], other, 1) for other in firsts[1:]])
    config = changed(config, cluster={"constraints": str(file), "constrain_training": True})
    options = {"index": copy.index, "graph": here.graph, "judgements": here.judgements}
    with pytest.raises(UserError, match=r"answers in .* leave 1 of the clusters.*Correct them"):
        run_cluster(**options, out=out, config=config)
    assert not out.exists()
    run_cluster(**options, out=out, config=config, final=True)
    assert len(read_artifact(out, CLUSTERS)["sizes"]) == 1


def test_answers_with_more_cells_than_columns_are_refused(copy):
    file = copy.folder / "answers.csv"
    file.write_text("path_a,path_b,same\na,b,1,\n")
    with pytest.raises(UserError, match="more cells than its first line"):
        read_answers(file, {"a": 0, "b": 1})


def test_answers_that_exclude_each_other_are_named(copy, config):
    here = copy.epoch(1)
    file = answers(copy, np.empty(0), [(0, 1, 1), (1, 2, 1), (0, 2, 0)])
    config = changed(config, cluster={"constraints": str(file), "constrain_training": True})
    with pytest.raises(UserError, match=r"contradicts itself: .* follows from .* = .* = .*Correct"):
        run_cluster(
            index=copy.index,
            graph=here.graph,
            judgements=here.judgements,
            out=copy.folder / "c.h5",
            config=config,
        )
    assert not (copy.folder / "c.h5").exists()
