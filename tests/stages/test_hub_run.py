"""A run with a network of the hub: start, training, export, and all that uses its model."""

import json

import h5py
import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner

import mprd
from mprd.artifacts import FEATURES, read_artifact
from mprd.artifacts.files import sha256_file
from mprd.artifacts.tensors import read_safetensors
from mprd.cli.app import app
from mprd.models.weights import SCHEMA
from tests.hub import REVISION, in_cache
from tests.models.test_timm_hub import MEAN, STD, vit
from tests.stages.pipeline import changed, finish


def call(*args: object) -> str:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False).output


@pytest.fixture(scope="module")
def hub_run(tiny_config, tmp_path_factory):
    """The run, the network of the hub and its file; afterwards the hub and its cache are gone."""
    folder = tmp_path_factory.mktemp("hub")
    theirs, said = vit()
    weights = in_cache(folder / "cache", "me/net", said, theirs, "model.safetensors")
    model = {"backbone": "timm/hf-hub:me/net", "pooling": "own", "last_stride": 2}
    config = changed(
        tiny_config,
        epochs=1,
        precision="float32",
        model=model | {"bn_group_size": 0},
        init={"method": "imagenet"},
        data={"height": 56, "width": 28},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "cache"))
        run = finish(folder / "run", config)
    return run, theirs, weights / "model.safetensors"


def test_the_start_is_the_network(hub_run):
    run, _, weights = hub_run
    header, _ = read_safetensors(run.initial_model, SCHEMA, "init")
    assert json.loads(header["inputs"])["weights"] == sha256_file(weights)
    recorded = json.loads(run.initial_metrics.read_text())["weights"]
    assert recorded == {
        "repository": "me/net",
        "revision": REVISION,
        "file": "model.safetensors",
        "sha256": sha256_file(weights),
    }


def test_features_have_its_own_normalisation(hub_run):
    """Of the model that was trained: its tensors in timm's own network, on the stored pixels."""
    run, theirs, _ = hub_run
    _, tensors = read_safetensors(run.final.model, SCHEMA, "export")
    inside = "backbone.network."
    wide, _ = vit(img_size=(56, 28))
    wide.load_state_dict({k.removeprefix(inside): v for k, v in tensors.items() if inside in k})
    found = read_artifact(run.final.embeddings, FEATURES)
    with h5py.File(run.pixels) as file:
        pixels = torch.from_numpy(file["pixels"][found["row"][:9]])
    scaled = (pixels / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.no_grad():
        neck = torch.nn.BatchNorm1d(wide.num_features).eval()
        neck.load_state_dict(
            {k.removeprefix("neck."): v for k, v in tensors.items() if k.startswith("neck.")}
        )
        expected = F.normalize(neck(wide.eval()(scaled.permute(0, 3, 1, 2))), dim=1)
    np.testing.assert_allclose(found["features"][:9], expected, atol=1e-5)
    assert not torch.equal(wide.cls_token, theirs.cls_token)


def test_its_model_needs_no_hub(hub_run, market, tmp_path):
    run, _, _ = hub_run
    model = mprd.load_model(run.final.model, "cpu", "float32")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 56, 28, 3), dtype=np.uint8)
    call("onnx", run.final.model, "--out", tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    exported = session.run(None, {"images": pixels})[0]
    np.testing.assert_allclose(exported, model.embed(pixels), atol=1e-4)
    header, _ = read_safetensors(run.final.model, SCHEMA, "export")
    assert f"minus {tuple(MEAN)} x 255, divided by {tuple(STD)} x 255" in header["card"]
    query = next(market.rglob("query/*.jpg"))
    said = call("search", query, "--model", run.final.model, "--gallery", query.parent)
    assert query.name in said
