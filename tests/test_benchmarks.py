"""The benchmarks' literal versions agree with ours, and their scripts run (at toy sizes)."""

import argparse
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command

from mprd.cli import app
from mprd.pipeline.layout import RunLayout
from tests.stage_server import environment, python

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


def run_script(name, tmp_path, monkeypatch, *options):
    """Run a benchmark in process; return its rows."""
    out = tmp_path / "rows.json"
    monkeypatch.setattr(sys, "argv", [name, "--json", str(out), *map(str, options)])
    runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
    return json.loads(out.read_text())


def test_embeddings_are_clustered_and_reproducible():
    from common import embeddings

    features, identity = embeddings(600, 32)
    assert np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert np.array_equal(features, embeddings(600, 32)[0])
    same = identity[:, None] == identity
    product = features @ features.T
    assert product[same & ~np.eye(600, dtype=bool)].mean() > product[~same].mean() + 0.2


def test_dense_jaccard_gives_the_same_labels(tmp_path, monkeypatch):
    rows = run_script("jaccard", tmp_path, monkeypatch, "--n", 400, "--runs", 1)
    assert "labels equal" in rows[0]["detail"]
    assert float(rows[0]["detail"].rsplit(" ", 1)[1]) < 1e-5


def test_linkage_of_all_pairs_gives_the_same_clusters(tmp_path, monkeypatch):
    rows = run_script("linkage", tmp_path, monkeypatch, "--n", 400, "--runs", 1)
    assert "clusters equal" in rows[0]["detail"]


def test_intervals_of_audits_hold_the_truth(tmp_path, monkeypatch):
    options = ("--audits", 20, "--identities", 12, "--noise", "0.7,1.3")
    rows = run_script("audit", tmp_path, monkeypatch, *options)
    assert len(rows) == 6
    single, pair = rows[::3], rows[1::3] + rows[2::3]
    assert all("mean width 0." in row["detail"] for row in single)
    for row in pair:
        ours, apart = re.findall(
            r"width \S+, \S+, (\S+), .* of 25 pairs: differences (\S+),", row["detail"]
        )[0]
        assert float(ours) < float(apart)
    features, labels = tmp_path / "f.npy", tmp_path / "l.npy"
    np.save(features, np.random.default_rng(0).normal(size=(60, 8)))
    np.save(labels, np.arange(60) // 6)
    options = ("--audits", 5, "--features", features, "--labels", labels)
    row, *pair = run_script("audit", tmp_path, monkeypatch, *options)
    assert row["size"].endswith("5 audits of 50 pairs")
    assert [one["size"].split(", ")[1] for one in pair] == ["after and before", "fine and coarse"]


def test_answers_make_clusters_better(tmp_path, monkeypatch):
    options = ("--people", 12, "--draws", 2, "--counts", "5,40", "--wrong", "0,0.05")
    rows = run_script("questions", tmp_path, monkeypatch, *options)
    assert len(rows) == 6
    first, *_, last = (float(one) for one in rows[0]["result"].split()[1:])
    assert last >= first


def test_linkage_of_a_large_graph(monkeypatch):
    from linkage import million

    assert "another cut" in million(2000)[0].detail


def test_sorting_gives_the_same_figures():
    from evaluation import literal, problem

    from mprd.retrieval.evaluation import evaluate

    sides = problem(60, 300, 24)
    found = evaluate(*sides)
    assert (found.map, found.cmc[1]) == pytest.approx(literal(sides))


def test_losses_one_by_one_are_the_same():
    from losses import Problem

    problem = Problem(8, 12, 100, 16)
    for ours, literal in zip(problem.ours(), problem.literal(), strict=True):
        assert ours.item() == pytest.approx(literal.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("neighbors", ["--n", 300, "--dim", 16, "--runs", 1], 2),
        ("pixels", ["--n", 40], 2),
        ("losses", ["--n", 200, "--dim", 16, "--clusters", 20, "--batch", 8, "--runs", 1], 1),
        ("training", ["--n", 300, "--backbone", "mini", "--height", 32, "--width", 16,
                      "--steps", 2, "--runs", 1], 1),
        ("batchnorm", ["--batch", 8, "--height", 32, "--runs", 1], 2),
        ("relations", ["-n", 300, "--dim", 32, "--pairs", 64, "--literal", 2, "--runs", 1], 3),
    ],
)  # fmt: skip
def test_scripts_report_rows(name, options, count, tmp_path, monkeypatch):
    rows = run_script(name, tmp_path, monkeypatch, *options)
    assert len(rows) == count
    assert all(re.search(r"\d", row["result"]) for row in rows)


def test_results_are_rendered():
    from run import render

    row = {"what": "a", "size": "b", "result": "c", "target": "d", "met": False, "detail": "e"}
    store = {"x": {"rows": [row], "machine": "m", "date": "2026-01-01", "seconds": 3.2}}
    text = render(store)
    assert "## x\n\nm; 2026-01-01, 3 s." in text
    assert "| a | b | c | d | **missed** | e |" in text


def test_stage_times_are_summed(tmp_path):
    from stages import times

    for epoch, seconds in (("001", 2.0), ("002", 3.0)):
        folder = tmp_path / "benchmarks/epochs" / epoch
        folder.mkdir(parents=True)
        (folder / "train.tsv").write_text(f"s\tmax_rss\n{seconds}\t-\n")
    table = times(tmp_path)
    assert table.loc["train", ["jobs", "seconds", "per job"]].tolist() == [2, 5, 2.5]


def test_storage_says_what_half_precision_changes(tmp_path, monkeypatch):
    options = ("--n", 400, "--dim", 64, "--mapped", 2000)
    half, mapped = run_script("storage", tmp_path, monkeypatch, *options)
    assert 90 < float(half["result"].split()[0]) <= 100
    assert mapped["result"].endswith("GiB held")


def test_commands_of_stages_are_understood(tmp_path):
    """`memory`, `startup`, `processes` and `million` run stages by their commands."""
    import memory
    import million

    million.make(tmp_path, 40)
    run, plain = RunLayout(tmp_path), tmp_path / "plain.yaml"
    run.config.write_text(plain.read_text())
    words = [
        *memory.commands(tmp_path, images=True, gcn=False).values(),
        *memory.commands(tmp_path, images=True, gcn=True).values(),
        *(
            million.command(name, run, tmp_path / f"{settings}.yaml", step)
            for settings, name, step in million.JOBS.values()
        ),
    ]
    for _, name, *rest in words:
        get_command(app).commands[name].make_context(name, rest)
    assert million.JOBS.keys() > {"judge", "learn"}


# Small images of few people, who look alike to a network that has learned nothing.
TOY = {
    "device": "cpu",
    "data": {"height": 32, "width": 16}
    | {"synthetic": {"train_identities": 6, "test_identities": 2, "distractors": 0}},
    "init": {"warmup": {"steps": 2, "batch_size": 8}},
    "graph": {"k1": 8, "k2": 2},
    "train": {"identities": 2, "instances": 4},
    "gcn": {
        "neighbors": 3,
        "hidden": [8, 8],
        "conv": [8, 12],
        "mlp": 8,
        "metadata": {"images": 3, "views": 4},
        "batch": 16,
        "pretrain": {"metadata": 1, "unlabelled": 0},
        "update": {"metadata": 1, "unlabelled": 0, "collected": 1},
    },
}


@pytest.fixture(scope="module")
def toy_cell(tmp_path_factory):
    """Return a function that returns the one epoch of a variant; all share images and start."""
    folder = tmp_path_factory.mktemp("cells")

    def cell(variant):
        from learning import Cell

        options = argparse.Namespace(market=None, epochs=1, iters=2)
        return Cell(folder, variant, 0, options, TOY)

    return cell


def variants():
    return runpy.run_path(str(BENCHMARKS / "variants.py"))


@pytest.mark.parametrize(
    "variant",
    {
        **variants()["VARIANTS"],
        **variants()["RIVALS"],
        **variants()["COMBINED"],
        **variants()["EVIDENCE"],
    },
)
def test_each_variant_trains(variant, toy_cell):
    metrics = toy_cell(variant).run()
    assert 0 < metrics["mAP"] <= 100
    assert metrics == pytest.approx(toy_cell(variant).run(), nan_ok=True), "read, not run again"


def test_perfect_clusters_are_true(toy_cell):
    metrics = toy_cell("oracle-clusters").run()
    assert metrics["F1"] == metrics["cross rec."] == 1
    assert toy_cell("oracle-clusters-cap").run()["F1"] == 1
    assert toy_cell("contrast").run()["F1"] < 1


def test_a_perfect_filter_trains_on_other_pairs(toy_cell):
    true, predicted = (toy_cell(variant) for variant in ("oracle-filter", "hsd-filter"))
    assert true.run()["P right"] == predicted.run()["P right"] < 1, "the same pairs are judged"
    losses = [
        json.loads(cell.layout.epoch(1).metrics.read_text())["step_loss"]
        for cell in (true, predicted)
    ]
    assert losses[0] != losses[1]


def test_drift_reads_the_network_of_the_epoch_before(toy_cell):
    from drift import epoch_rows

    cell = toy_cell("mprd")
    cell.run()
    learnt, pretrained = epoch_rows(cell.layout, 1)
    assert learnt | {"gcn": ""} == pretrained | {"gcn": ""}, "epoch 1 begins with the pre-trained"


def test_own_images(market, tmp_path, monkeypatch):
    options = ["--root", market, "--people", 3, "--draws", 2]
    rows = run_script("own_images", tmp_path, monkeypatch, *options)
    assert len(rows) == 7
    from own_images import quality

    identity = np.array([0, 0, 0, 1, 1])
    assert quality(identity, identity) == (1, 1, 1)
    f1, ari, cubed = quality(np.array([0, 0, 1, 1, 1]), identity)
    # By hand: 4 pairs found, 4 wanted, 2 in both; B-cubed precision and recall are both
    # (2 * 1 + 1 * 1/3 + 2 * 2/3) / 5 and (2 * 2/3 + 1/3 + 2 * 1) / 5.
    assert f1 == pytest.approx(0.5)
    assert cubed == pytest.approx(11 / 15)
    assert 0 < ari < 0.5


def test_own_folders_are_trained(market, tmp_path, monkeypatch):
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "executable", python())
    options = ["--root", market, "--work", tmp_path, "--people", 3, "--draws", 1, "--epochs", 1]
    options += ["--height", 32, "--width", 32]
    before, after, choice = run_script("own_trained", tmp_path, monkeypatch, *options)
    assert (before["what"], after["what"]) == ("lite0: clusters of the start", "lite0: trained")
    assert all(re.search(r"each draw: [01]\.\d{3}$", row["detail"]) for row in (before, after))
    assert "no training" in choice["what"]
    layout = RunLayout(tmp_path / "results/p3-0-lite0")
    trained = json.loads(layout.epoch(1).metrics.read_text())
    assert len(trained["step_loss"]) == 25, "mprd new --train was obeyed"
    links = sorted((tmp_path / "p3-0").iterdir())
    assert all(re.fullmatch(r"camera\d+_row\d+\.jpg", link.name) for link in links)
    table = pd.read_csv(tmp_path / "results/p3-0-lite0/final/clusters.csv")
    assert list(table["path"].sort_values()) == [link.name for link in links]
    assert (
        "identity" not in table or table["identity"].isna().all() or (table["identity"] < 0).all()
    )


def test_a_choice_is_right_if_it_is_close_to_the_better():
    from own_trained import summary

    f1 = np.array([[0.7, 0.71], [0.7, 0.8], [0.7, 0.5]])  # before, after
    scores = np.repeat(f1[:, :, None], 3, axis=2)
    untrained, trained = (summary("lite0", 25, scores, images)[2] for images in (50, 250))
    assert "no training" in untrained.what
    assert "no training" not in trained.what
    assert untrained.result == trained.result == "within 0.02 of the better in 2 of 3"
    assert not trained.met


@pytest.mark.parametrize("path", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_every_script_imports(path):
    """Also those whose run needs a checkout, a data set or an hour."""
    runpy.run_path(str(path), run_name="imported")
