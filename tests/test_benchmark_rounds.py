"""Answers in the middle of a training, and trainings on parts of other images (at toy sizes)."""

import argparse

import pandas as pd
import pytest

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.data.index import split_rows
from tests.test_benchmarks import BENCHMARKS, TOY


@pytest.fixture(autouse=True)
def _path(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)


@pytest.mark.parametrize("kind", ["asked", "random"])
def test_answers_hold_in_the_epochs_that_follow(kind, tmp_path):
    from answer_rounds import train_with_rounds
    from learning import Cell, true_identities

    log = tmp_path / "answers.csv"
    options = argparse.Namespace(epochs=3, iters=2)
    change = TOY | {"cluster": {"constraints": str(log), "constrain_training": True}}
    cell = Cell(tmp_path, "linkage", 0, options, change, "answered")
    metrics = train_with_rounds(cell, kind, rounds=2, count=6, log=log)
    assert 0 < metrics["mAP"] <= 100

    given = pd.read_csv(log)
    assert len(given) == 12
    index = read_artifact(cell.layout.index, INDEX)
    rows = split_rows(index, "train")
    row = {path: n for n, path in enumerate(index["path"][rows])}
    identity = true_identities(cell.layout)
    labels = [read_artifact(cell.layout.epoch(n).clusters, CLUSTERS)["labels"] for n in (1, 2, 3)]
    for number, one in enumerate(given.itertuples()):
        a, b = row[one.images], row[one.others]
        same = identity[a] == identity[b]
        assert one.kind == ("same" if same else "different")
        for found in labels[1 if number < 6 else 2 :]:
            assert (found[a] == found[b] >= 0) == same, "answered before that epoch"
    before, after = ((found[:, None] == found) for found in labels[:2])
    assert (before != after).any()
    assert train_with_rounds(cell, kind, rounds=2, count=6, log=log) == pytest.approx(
        metrics, nan_ok=True
    ), "read, not run again"
    assert len(pd.read_csv(log)) == 12


def test_a_part_of_other_images(tmp_path):
    from learning import cell_folder

    rows = [
        (f"{split}/{identity}_{camera}.png", split, identity, camera)
        for split, identities in {"train": range(300), "query": range(300, 310)}.items()
        for identity in identities
        for camera in (0, 1)
    ]
    rows += [(f"gallery/{n}.png", "gallery", 300 + n % 12, n % 2) for n in range(24)]
    manifest = tmp_path / "flanks.csv"
    table = pd.DataFrame(rows, columns=["path", "split", "identity", "camera"])
    table.to_csv(manifest, index=False)
    for path in table["path"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    folder = cell_folder(tmp_path / "work", None, manifest)
    assert folder.name == "own-flanks"
    part = pd.read_csv(folder / "subset.csv")
    assert list(part) == ["path", "split", "identity", "camera"], "no column of times"
    people = part.groupby("split")["identity"].unique()
    assert len(people["train"]) == 250
    assert sorted(people["query"]) == sorted(people["gallery"]) == list(range(300, 310))
    kept = part.merge(table, on=["split", "identity"])
    assert len(kept) == 2 * len(part), "all images of whoever was chosen"
    written = (folder / "subset.csv").read_bytes()
    assert cell_folder(tmp_path / "work", None, manifest) == folder
    assert (folder / "subset.csv").read_bytes() == written
