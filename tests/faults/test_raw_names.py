"""Names that are no UTF-8, or have several lines: the sentence names them, and files stay whole."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

import mprd
from mprd.artifacts.tensors import read_safetensors
from mprd.config import load_config
from mprd.errors import UserError, obstacle, visible
from mprd.inference.feature_files import read_array
from mprd.models.weights_file import read_weights
from tests.later import shoot

RAW = os.fsdecode(b"M\374ller")


@pytest.fixture
def strange(tmp_path):
    """A folder of this name with images of one person."""
    shoot(tmp_path / RAW, 0, range(6))
    return tmp_path / RAW


def test_a_config_is_not_written_that_cannot_be_read(cli, strange, tmp_path):
    code, _, err = cli("new", strange, "--out", tmp_path / "c.yaml")
    assert code == 2
    assert f"'{visible(strange)}' is no UTF-8" in err
    assert not (tmp_path / "c.yaml").exists()


def test_the_name_of_a_config_is_no_line_of_it(cli, tmp_path):
    shoot(tmp_path / "images", 0, range(6))
    out = tmp_path / "a\nepochs: 99 #.yaml"
    assert cli("new", tmp_path / "images", "--out", out)[0] == 0
    assert load_config(out).epochs == 0


def test_what_cannot_be_stored_is_named_without_what_stands_beside_it():
    table = f"path,similarity\nold.png,1\n/data/{RAW}/a b.png,0.5\nnew.png,1\n"
    with pytest.raises(UnicodeEncodeError) as raised:
        table.encode()
    assert visible(obstacle(raised.value)).startswith("'/data/M\\xfcller/a b.png' is no UTF-8")


@pytest.mark.parametrize(
    "read", [lambda path: read_safetensors(path, "mprd.model", "train"), read_weights, read_array]
)
def test_the_path_of_weights_is_named_and_the_file_not_blamed(strange, read):
    path = strange / "model.safetensors"
    path.write_bytes(save({"features": np.zeros((2, 2), np.float32)}))
    with pytest.raises(UserError, match="is no UTF-8, which the path of a safetensors file must"):
        read(path)


def test_a_folder_with_the_longest_name_there_can_be(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shoot(tmp_path / ("x" * 255), 0, range(6))
    assert cli("new", "x" * 255)[0] == 0
    assert list(load_config(tmp_path / f"{'x' * 100}.yaml").runs) == ["x" * 100]


@pytest.mark.parametrize("name", ["~", "http:"])
def test_names_that_mean_something_else_to_pandas(cli, later, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    later.folder.rename(tmp_path / name)
    commands = [
        ("inspect", name),
        ("table", name),
        ("report", name, "--out", "r.html"),
        ("assign", "new", "--run", name, "--out", f"{name}/a.csv"),
        ("cluster-features", f"{name}/final/embeddings.h5", "--out", f"{name}/c.csv"),
    ]
    assert [cli(*command)[0] for command in commands] == [0] * len(commands)
    assert [len(read_rows(tmp_path / name / table)) for table in ("a.csv", "c.csv")] == [12, 30]
    assert not (tmp_path / "home").exists()


def read_rows(table):
    return table.read_text().splitlines()[1:]


def test_pandas_gets_no_path_as_it_is():
    source = "\n".join(file.read_text() for file in Path(mprd.__file__).parent.rglob("*.py"))
    given = re.findall(r"(?:pd\.read_(?:csv|parquet)|\.to_csv)\(\s*(\w+)", source)
    assert len(given) > 10
    assert set(given) == {"for_pandas", "index"}  # to_csv(index=False) returns text


def test_links_in_a_circle_among_images(cli, later, tmp_path):
    (tmp_path / "new/a.png").symlink_to("b.png")
    (tmp_path / "new/b.png").symlink_to("a.png")
    for command in (
        ("embed", tmp_path / "new", "--out", tmp_path / "e.npy"),
        ("search", tmp_path / "new/c1-0-10.png", "--gallery", tmp_path / "new"),
    ):
        code, _, err = cli(*command, "--model", later.final.model)
        assert code == 2
        assert "a.png" in err
        assert cli(*command, "--model", later.final.model, "--skip-unreadable")[0] == 0
