"""Paths that are no files, and files of another kind: each is told as what it is."""

import pytest
import torch
from PIL import Image

from mprd.artifacts import FEATURES, read_artifact, read_json
from mprd.artifacts.tensors import read_state
from mprd.cli.app import _load
from mprd.config.load import read_yaml
from mprd.data.image_paths import image_paths
from mprd.data.images import decode
from mprd.decisions.answers import read_csv
from mprd.errors import UserError, broken_link, why_no_file, why_no_folder
from mprd.gcn.weights import load_gcn
from mprd.inference.embedder import load_model
from mprd.inference.feature_files import read_array
from mprd.models.weights import load_network
from mprd.models.weights_file import read_weights
from mprd.pipeline.layout import run_of
from mprd.report.inspect.describe import describe
from mprd.report.inspect.lookup import cluster_table
from mprd.report.tables import read_table
from mprd.starter.survey import survey

READERS = {
    "an artifact": lambda path: read_artifact(path, FEATURES),
    "a report": lambda path: read_json(path, "mprd.metrics", "train"),
    "a state": read_state,
    "a CNN": load_network,
    "a GCN": lambda path: load_gcn(path, 4),
    "a checkpoint": read_weights,
    "a model for use": load_model,
    "an array": read_array,
    "answers": lambda path: read_csv(path, ("a",)),
    "a table": read_table,
    "a config": read_yaml,
    "inspect": describe,
    "inspect --cluster": lambda path: cluster_table(path, 0),
    "a plugin": lambda path: _load([path]),
    "images": lambda path: image_paths(path),
    "an image": decode,
    "a run": run_of,
    "a folder": survey,
}
TAKES_FOLDERS = ("images", "a run", "a folder")
LOOKS_INSIDE = ("a config", "an image")  # a pipe would do for them, too


@pytest.fixture
def places(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.h5").symlink_to("/nowhere/index.h5")
    (tmp_path / "lost").symlink_to("/nowhere/at")
    names = {
        "a folder": "folder",
        "a link": "link.h5",
        "below a link": "lost/a.h5",
        "gone": "no.h5",
    }
    return {kind: tmp_path / name for kind, name in names.items()}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("a folder", "folder is a folder, not a file"),
        ("a link", "link.h5 is a link to /nowhere/index.h5, which does not exist"),
        ("below a link", "a.h5 does not exist: {}/lost is a link to /nowhere/at, which does not"),
        ("gone", "no.h5 does not exist"),
    ],
)
def test_what_is_no_file(places, tmp_path, reader, kind, words):
    if kind == "a folder" and reader in (*TAKES_FOLDERS, *LOOKS_INSIDE):
        return
    with pytest.raises(UserError) as error:
        READERS[reader](places[kind])
    assert words.format(tmp_path) in str(error.value)


def test_the_words(places):
    assert why_no_folder(places["gone"]).endswith("no.h5 does not exist")
    assert broken_link(places["gone"]) == broken_link(places["a folder"]) == ""
    assert broken_link(places["below a link"]).endswith(
        "lost is a link to /nowhere/at, which does not exist"
    )
    file = places["a folder"] / "a"
    file.touch()
    assert why_no_folder(file) == f"{file} is not a folder"
    (places["a folder"] / "loop").symlink_to("loop")
    assert "is a link to loop" in why_no_file(places["a folder"] / "loop")


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n", "[1, 2]", '{"a": 1}', "model,mAP\n", "model,mAP\n1,x\n", "epochs: 3\n", ""],
)
def test_a_table_of_another_kind(tmp_path, text):
    path = tmp_path / "other.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=r"other\.csv is not a metrics table"):
        read_table(path)


def test_networks_of_another_kind(judged_run, tmp_path):
    """Making the file again would not help: another one is to be given."""
    picture, text = tmp_path / "a.png", tmp_path / "a.txt"
    Image.new("RGB", (16, 32)).save(picture)
    text.write_text("hello")
    here = judged_run.epoch(1)
    cnn = "a CNN is needed. Give model.safetensors of init/, an epoch or final/."
    gcn = "is needed. Give gcn.safetensors of an epoch, or the pre-trained one in gcn/."
    for load, path, words in [
        (READERS["a CNN"], here.gcn, f"holds a relation GCN, where {cnn}"),
        (READERS["a GCN"], here.model, f"holds a CNN, where a relation GCN {gcn}"),
        (READERS["a CNN"], here.graph, f"holds arrays (HDF5), where {cnn}"),
        (READERS["a GCN"], here.state, f"holds what torch.save wrote, where a relation GCN {gcn}"),
        (READERS["a model for use"], judged_run.initial_gcn, f"holds a relation GCN, where {cnn}"),
        (READERS["a model for use"], picture, f"holds an image, where {cnn}"),
        (READERS["a model for use"], text, f"holds no network, where {cnn}"),
    ]:
        with pytest.raises(UserError) as error:
            load(path)
        assert str(error.value) == f"{path} {words}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("config.yaml", "is a config: open it in an editor; `mprd config check` checks it"),
        ("report.html", "is a page: open it in a browser; `mprd report RUN` draws it again"),
        ("logs/train.log", "is a log: open it in an editor; `mprd status RUN` tells"),
        ("benchmarks/train.tsv", "is a table of time and memory"),
        ("a.txt", "is no file that a run leaves"),
    ],
)
def test_inspect_says_what_shows_another_file(tmp_path, name, words):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("text")
    with pytest.raises(UserError) as error:
        describe(path)
    assert str(error.value).startswith(f"{path} {words}")
    assert "`mprd inspect` reads HDF5, safetensors, JSON and CSV files" in str(error.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("an image", "it is an image"),
        ("a text", "torch.save did not write it, or it is damaged"),
        ("code", "it names .*Path, which is code"),
    ],
)
def test_a_checkpoint_that_is_none(tmp_path, kind, words):
    """Torch would advise to load it all the same, which may run what is in it."""
    path = tmp_path / "weights.pth"
    if kind == "an image":
        Image.new("RGB", (16, 32)).save(path, "PNG")
    elif kind == "code":
        torch.save({"a": path}, path)
    else:
        path.write_text("hello")
    with pytest.raises(UserError, match=f"can be read safely: {words}") as error:
        read_weights(path)
    assert "weights_only" not in str(error.value)
