"""`mprd add` in a run that knows sides of animals: a left flank never comes to right ones."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from mprd.artifacts import INDEX, read_artifact, write_artifact
from mprd.browsing.run import Run
from mprd.data.added import stored
from mprd.data.index import split_rows
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import DecisionLog
from mprd.inference.sightings import RunSightings, index_sightings
from tests.later import shoot


@pytest.fixture
def sided(later, tmp_path):
    """The run shows left sides, of the last person unknown ones; `new` beside it has both."""
    index = read_artifact(later.index, INDEX)
    unknown = np.array(["-4-" in str(path) for path in index["path"]])
    arrays = index.arrays | {
        "side": np.where(unknown, -1, 0).astype(np.int8),
        "side_names": np.array(["left", "right"], object),
    }
    later.index.unlink()
    attributes = index.attributes
    write_artifact(later.index, INDEX, arrays, config={}, inputs={}, attributes=attributes)
    values = yaml.safe_load(later.config.read_text())
    values["data"]["side"] = "(left|right)/"
    later.config.write_text(yaml.safe_dump(values))
    shutil.rmtree(tmp_path / "new")
    for who, side, first in ((0, "left", 10), (0, "right", 13), (4, "right", 10)):
        shoot(tmp_path / "new" / side, who, range(first, first + 3))
    for side, first in (("left", 10), ("right", 13)):
        shoot(tmp_path / "new" / side, 20, range(first, first + 3))
    return later


def numbers(run, side, who):
    table = pd.read_csv(run.final.table)
    chosen = table["path"].str.contains(f"/new/{side}/c.-{who}-", regex=True)
    return table.loc[chosen, "cluster"].tolist()


def test_left_never_comes_to_right(sided, cli, tmp_path):
    code, said, err = cli("add", sided.folder, tmp_path / "new")
    assert (code, "15 images added" in said) == (0, True), err
    table = pd.read_csv(sided.final.table)
    known = {who: set(table[table["path"].str.match(f"c.-{who}-")]["cluster"]) for who in (0, 4)}
    assert set(numbers(sided, "left", 0)) == known[0]
    assert set(numbers(sided, "right", 4)) == known[4], "its side is unknown"
    fresh = [numbers(sided, "right", 0), numbers(sided, "left", 20), numbers(sided, "right", 20)]
    assert [len(set(one)) for one in fresh] == [1, 1, 1]
    news = {number for one in fresh for number in one}
    assert len(news) == 3, "strangers are parted by side, too"
    assert min(news) > table["cluster"][table["added"] == 0].max()

    index, added = read_artifact(sided.index, INDEX), stored(sided.final)[0]
    seen = index_sightings(index, split_rows(index, "train"), added)
    sides = [path.split("/")[-2] for path in added.paths]
    assert list(seen.sides[-15:]) == sides == added["side"].tolist()
    files = added.files(index)
    assert RunSightings(sided).of([(file, file) for file in files]).sides == sides
    run = Run(sided.folder)
    assert dict(run.words(len(run.rows)))["side"] == sides[0]

    # A person may join what sides part.
    right = next(path for path in added.paths if "/right/" in path and "-0-" in path)
    left = next(path for path in table["path"] if path.startswith("c1-0-"))
    DecisionLog(sided.decisions).append(Decision(Kind.SAME, (left,), (right,)))
    assert cli("add", sided.folder)[0] == 0
    assert set(numbers(sided, "right", 0)) == known[0]


def test_a_manifest_tells_sides(sided, cli, tmp_path):
    shutil.rmtree(tmp_path / "new/right")
    files = sorted((tmp_path / "new/left").glob("*-0-*"))
    lines = [f"{file.name},{side}" for file, side in zip(files, ("right", "", "left"), strict=True)]
    listing = tmp_path / "new/left/list.csv"
    listing.write_text("\n".join(["path,side", *lines]) + "\n")
    code, _, err = cli("add", sided.folder, listing)
    assert code == 0, err
    assert stored(sided.final)[0]["side"].tolist() == ["right", "", "left"]
    assert [number >= 0 for number in numbers(sided, "left", 0)] == [False, True, True]
    gone = files[0].rename(tmp_path / "gone.png")
    found = RunSightings(sided).of([(files[0], gone)])
    assert found.sides == ["right"], "the run knows what it was told"
