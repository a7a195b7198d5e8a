"""The benchmarks' literal versions agree with ours, and their scripts run (at toy sizes)."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

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
