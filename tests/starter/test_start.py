"""`mprd new --weights`: the settings that follow from a weights file."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from typer.testing import CliRunner

from mprd.cli.app import app
from mprd.config import load_config
from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
from mprd.models.weights import save_network
from mprd.pipeline.idle import idle_settings
from mprd.starter.recipe import recipe, seconds
from mprd.starter.start import known_start
from mprd.starter.survey import survey
from tests.hub import in_cache


@pytest.fixture
def crops(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for n in range(9):
        path = tmp_path / f"crops/{n}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((40, 20, 3), np.uint8)).save(path)
    return path.parent


def network(backbone: str, pooling: str = "avg") -> ReidNetwork:
    torch.manual_seed(0)
    return ReidNetwork(Architecture(backbone, pooling, 0, 64, 32))


def osnet_file(path: Path, extra: str = "classifier.weight") -> Path:
    content = network("osnet_x0_25").backbone.state_dict() | {extra: torch.zeros(3)}
    torch.save({f"module.{key}": value for key, value in content.items()}, path)
    return path


def new(*arguments: object) -> str:
    words = ["new", *map(str, arguments)]
    return CliRunner().invoke(app, words, catch_exceptions=False).output


@pytest.mark.parametrize("more", [[], ["--train"]])
def test_an_osnet_decides_backbone_pooling_and_size(crops, more):
    weights = osnet_file(crops.parent / "start here.pth")
    said = new(crops, "--weights", weights, *more)
    assert "osnet_x0_25, 565 of its 566 tensors used, all but classifier.weight\n" in said
    config = load_config(Path("crops.yaml"))
    assert (config.model.backbone, config.model.pooling) == ("osnet_x0_25", "avg")
    assert (config.data.height, config.data.width) == (256, 128)
    assert (config.init.method, config.init.checkpoint) == ("checkpoint", weights)
    assert config.train.lr == 3.5e-4
    assert (config.epochs > 0) == bool(more)
    assert idle_settings([config]) == []


def test_without_a_file_nothing_changes(crops):
    assert "tensors" not in new(crops, "--train")
    config = load_config(Path("crops.yaml"))
    assert (config.model.backbone, config.init.method) == ("timm/tf_efficientnet_lite0", "imagenet")
    assert (config.data.height, config.data.width, config.train.lr) == (128, 64, 1e-3)


def test_a_model_of_a_run_is_a_start(crops):
    shape = Architecture("mini", "gem", 4, 96, 48)
    save_network(Path("m.safetensors"), ReidNetwork(shape), config={}, inputs={}, seed=0)
    assert "mini, all of its" in new(crops, "--weights", "m.safetensors")
    config = load_config(Path("crops.yaml"))
    assert (config.data.height, config.data.width) == (96, 48)
    assert (config.model.pooling, config.model.bn_group_size) == ("gem", 4)


@pytest.mark.parametrize(
    ("prefix", "size", "expected"),
    [
        ("backbone.", (128, 64), (256, 128)),
        ("base.", (96, 96), (256, 256)),
        ("", (128, 64), (128, 64)),
    ],
)
def test_networks_for_any_size(tmp_path, prefix, size, expected):
    """Re-identification has a longer side of 256 pixels; ImageNet weights say nothing."""
    content = network("resnet18").backbone.state_dict()
    torch.save({prefix + key: value for key, value in content.items()}, tmp_path / "r.pth")
    start = known_start(tmp_path / "r.pth", size)
    assert (start.architecture.height, start.architecture.width) == expected
    assert start.architecture.backbone == "resnet18"


def test_an_unknown_file_is_told_what_is_known(crops):
    torch.save({"a": torch.zeros(3)}, "x.pth")
    with pytest.raises(UserError, match=r"x\.pth holds no network that mprd knows\. .*osnet_x0_25"):
        new(crops, "--weights", "x.pth")
    assert not Path("crops.yaml").exists()


def test_names_in_a_file_cannot_write_into_the_config(crops):
    weights = osnet_file(crops.parent / "w\nplugins: [x.py]\n#.pth", "y\nplugins: [x.py]\n#")
    new(crops, "--weights", weights)
    config = load_config(Path("crops.yaml"))
    assert config.plugins == ()
    assert config.init.checkpoint == weights


def test_a_slower_network_takes_longer(crops):
    seen = survey(crops)
    plan = recipe(seen, (256, 128))
    assert (plan.height, plan.width) == (256, 128)
    slow, fast = (seconds(plan, seen, step) for step in (100.0, 1.0))
    assert slow > 5 * fast


@pytest.mark.parametrize("more", [[], ["--train"]])
def test_a_network_of_the_hub_has_its_own_size_and_pooling(crops, more, monkeypatch):
    """`mprd new --backbone` writes a config that runs; offline, from the cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(crops.parent / "hub"))
    theirs = timm.create_model("resnet18", num_classes=0)
    data = {"input_size": [3, 96, 64], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    config = {"architecture": "resnet18", "pretrained_cfg": data | {"num_classes": 0}}
    in_cache(crops.parent / "hub", "me/net", config, theirs, "model.safetensors")
    said = new(crops, "--backbone", "timm/hf-hub:me/net", *more)
    assert "weights of timm/hf-hub:me/net: images of 96x64 pixels\n" in said
    found = load_config(Path("crops.yaml"))
    assert (found.model.backbone, found.model.pooling) == ("timm/hf-hub:me/net", "own")
    assert (found.data.height, found.data.width, found.model.last_stride) == (96, 64, 2)
    assert (found.init.method, found.epochs > 0) == ("imagenet", bool(more))
    assert idle_settings([found]) == []
    runner = CliRunner()
    for wrong, says in (
        (["--backbone", "resnet50"], "--backbone takes timm/NAME or timm/hf-hub:OWNER/NAME"),
        (["--backbone", "timm/resnet18", "--features", "f.npy"], "exclude each other"),
    ):
        result = runner.invoke(app, ["new", str(crops), "--out", "other.yaml", *wrong])
        assert says in str(result.exception)
