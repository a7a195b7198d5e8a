"""ONNX: the same embeddings, by another library."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from typer.testing import CliRunner

import mprd
from mprd.artifacts.tensors import read_safetensors
from mprd.cli.app import app
from mprd.errors import UserError
from mprd.inference.onnx import export_onnx
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
from mprd.models.weights import SCHEMA, save_network


@pytest.fixture(scope="module")
def exported(judged_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx") / "model.onnx"
    arguments = ["onnx", str(judged_run.final.model), "--out", str(out)]
    CliRunner().invoke(app, arguments, catch_exceptions=False)
    return out


def images(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def run(path, pixels: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": pixels})[0]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_same_embeddings(exported, judged_run, count):
    pixels = images(count, 32, 16)
    expected = mprd.load_model(judged_run.final.model, precision="float32").embed(pixels)
    np.testing.assert_allclose(run(exported, pixels), expected, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(run(exported, pixels), axis=1), 1, atol=1e-5)


def test_another_network(tmp_path):
    network = ReidNetwork(Architecture("resnet18", "avg+max", 4, 64, 32)).eval()
    save_network(tmp_path / "m.safetensors", network, config={}, inputs={}, seed=0)
    export_onnx(tmp_path / "m.safetensors", tmp_path / "m.onnx")
    pixels = images(3, 64, 32)
    expected = mprd.load_model(tmp_path / "m.safetensors", precision="float32").embed(pixels)
    np.testing.assert_allclose(run(tmp_path / "m.onnx", pixels), expected, atol=1e-4)


def test_it_says_what_it_wants(exported, judged_run):
    model = onnx.load(exported)
    onnx.checker.check_model(model)
    said = {prop.key: prop.value for prop in model.metadata_props}
    header, _ = read_safetensors(judged_run.final.model, SCHEMA, "export")
    assert (said["height"], said["width"]) == ("32", "16")
    assert int(said["dim"]) == run(exported, images(1, 32, 16)).shape[1]
    assert said["digest"] == header["digest"]
    assert said["card"] == header["card"]


def test_the_card_says_what_the_run_was(judged_run):
    header, tensors = read_safetensors(judged_run.final.model, SCHEMA, "export")
    last, trained = read_safetensors(judged_run.epoch(2).model, SCHEMA, "train")
    assert header["digest"] == last["digest"]
    assert sorted(tensors) == sorted(trained)
    card = header["card"]
    for part in ("mini, gem pooling", "32x16 pixels", "- data set: market1501", "- images: 54"):
        assert part in card
    assert '"lr": 0.003' in card
    assert "never a proof of identity" in card


def test_without_the_libraries(judged_run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"pip install 'mprd\[onnx\]'"):
        export_onnx(judged_run.final.model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_the_documented_program(exported, judged_run, market, tmp_path, monkeypatch):
    """The Python of docs/howto/onnx.md, as it stands there, on two files."""
    text = (Path(__file__).parents[2] / "docs/howto/onnx.md").read_text()
    program = re.search(r"```python\n(import numpy as np\nimport onnxruntime.*?)```", text, re.S)
    crops = sorted((market / "market1501/Market-1501-v15.09.15/bounding_box_train").iterdir())
    for name, path in (("a.jpg", crops[0]), ("b.jpg", crops[-1]), ("model.onnx", exported)):
        shutil.copy(path, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(program[1], names)
    model = mprd.load_model(judged_run.final.model, precision="float32")
    np.testing.assert_allclose(names["embeddings"], model.embed(["a.jpg", "b.jpg"]), atol=1e-4)
