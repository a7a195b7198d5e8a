"""One picture in two roles, or with two identities: told, by the checksums of the files."""

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mprd.stages.index import run_index
from tests.faults.test_images import configured

_TOO_GOOD = "too, as the same file"


@pytest.mark.parametrize(
    ("split", "identity", "words"),
    [
        ("train", "", f"1 query image is in the train split, {_TOO_GOOD}"),
        ("gallery", "1", f"1 query image is in the gallery, {_TOO_GOOD}"),
        ("query", "3", "1 file is there again with another identity, first 'copy.png' and 'q.png'"),
    ],
)
@pytest.mark.parametrize("link", [None, os.link, os.symlink])
def test_a_query_that_is_there_again(tmp_path, capsys, split, identity, words, link):
    rows = [("q.png", "query", "1"), ("g.png", "gallery", "1"), ("t.png", "train", "2")]
    for number, (name, *_) in enumerate(rows):
        noise = np.random.default_rng(number).integers(0, 256, (32, 16, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name)
    if link is None:
        (tmp_path / "copy.png").write_bytes((tmp_path / "q.png").read_bytes())
    else:
        link(tmp_path / "q.png", tmp_path / "copy.png")
    rows.append(("copy.png", split, identity))
    columns = ["path", "split", "identity"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "m.csv", index=False)
    run_index(out=tmp_path / "index.h5", config=configured(tmp_path / "m.csv"))
    warnings = [one for one in capsys.readouterr().out.splitlines() if "Warning" in one]
    assert [words in one for one in warnings] == [True]


@pytest.mark.parametrize("split", ["train", "gallery"])
def test_one_picture_of_two_identities_in_a_split(tmp_path, capsys, split):
    Image.new("RGB", (16, 32), "red").save(tmp_path / "a.png")
    Image.new("RGB", (16, 32), "red").save(tmp_path / "b.png")
    table = pd.DataFrame({"path": ["a.png", "b.png"], "split": split, "identity": [1, 2]})
    table.to_csv(tmp_path / "m.csv", index=False)
    run_index(out=tmp_path / "index.h5", config=configured(tmp_path / "m.csv"))
    said = capsys.readouterr().out
    assert "1 file is there again with another identity, first 'a.png' and 'b.png'" in said
