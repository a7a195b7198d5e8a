"""Weights files of other projects: what they hold, what is used of them, what is refused."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from mprd.artifacts.files import file_digest
from mprd.errors import UserError
from mprd.models.backbones.osnet import DESIGNS
from mprd.models.backbones.registry import Architecture, build_backbone
from mprd.models.network import ReidNetwork
from mprd.models.recognition import Recognised, recognise
from mprd.models.weights import Loaded, load_checkpoint, save_network
from mprd.models.weights_file import is_ours, read_weights

NUMBERED = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


def network(name, pooling="gem", size=(64, 32), seed=0, stride=1):
    torch.manual_seed(seed)
    net = ReidNetwork(Architecture(name, pooling, 0, *size, last_stride=stride)).eval()
    net.precision = "float32"
    for module in net.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_(0, 0.2)
    return net


def numbered(key):
    part, _, rest = key.partition(".")
    return f"{NUMBERED[part]}.{rest}"


def torchreid(net):
    content = {f"module.{key}": value for key, value in net.backbone.state_dict().items()}
    return {"state_dict": content | {"module.classifier.weight": torch.zeros(3, 512)}}


def torchvision_file(net):
    return net.backbone.state_dict() | {"fc.weight": torch.zeros(9, 4), "fc.bias": torch.zeros(9)}


def fast_reid(net):
    content = {f"backbone.{key}": value for key, value in net.backbone.state_dict().items()}
    content |= {f"heads.bottleneck.0.{key}": value for key, value in net.neck.state_dict().items()}
    content |= {f"heads.pool_layer.{k}": value for k, value in net.pool.state_dict().items()}
    content |= {"heads.weight": torch.zeros(7, net.dim), "pixel_mean": torch.zeros(1, 3, 1, 1)}
    return {"model": content, "iteration": 7}


def cluster_contrast(net):
    body = net.backbone.state_dict().items()
    content = {f"module.base.{numbered(key)}": value for key, value in body}
    content |= {f"module.feat_bn.{key}": value for key, value in net.neck.state_dict().items()}
    content |= {f"module.gap.{key}": value for key, value in net.pool.state_dict().items()}
    return {"state_dict": content, "epoch": 49, "best_mAP": np.float64(0.8)}


def saved(content, path):
    torch.save(content, path)
    return path


@pytest.mark.parametrize("name", list(DESIGNS))
def test_osnets_are_recognised(name, tmp_path):
    path = saved(torchreid(network(name, "avg")), tmp_path / "model.pth.tar-60")
    assert recognise(read_weights(path)) == Recognised(name, "avg", (256, 128), from_reid=True)


@pytest.mark.parametrize(
    ("name", "style", "pooling", "found"),
    [
        ("resnet18", torchvision_file, "gem", "gem"),
        ("resnet34", torchvision_file, "avg", "gem"),
        ("resnet50", torchvision_file, "gem", "gem"),
        ("resnet50_ibn_a", torchvision_file, "gem", "gem"),
        ("resnet50", fast_reid, "gem", "gem"),
        ("resnet50_ibn_a", fast_reid, "avg", "avg"),
        ("resnet50", cluster_contrast, "avg", "avg"),
        ("resnet50_ibn_a", cluster_contrast, "gem", "gem"),
    ],
)
def test_resnets_are_recognised(name, style, pooling, found, tmp_path):
    path = saved(style(network(name, pooling)), tmp_path / "x.pth")
    from_reid = style is not torchvision_file
    assert recognise(read_weights(path)) == Recognised(name, found, None, from_reid=from_reid)


@pytest.mark.parametrize(
    ("style", "unused"),
    [(fast_reid, ["heads.weight", "pixel_mean"]), (cluster_contrast, [])],
)
@pytest.mark.parametrize("pooling", ["gem", "avg"])
def test_a_reid_file_gives_its_embeddings(style, unused, pooling, tmp_path):
    """Backbone, pooling and BNNeck come from the file."""
    source, net = network("resnet18", pooling, seed=1), network("resnet18", pooling, seed=2)
    with torch.no_grad():
        source.neck.weight.uniform_(0.5, 2)
        for weight in source.pool.parameters():
            weight.fill_(4.0)
    loaded = load_checkpoint(net, saved(style(source), tmp_path / "x.pth"))
    assert loaded == Loaded(len(net.state_dict()), unused)
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(net(x), source(x))


def test_parts_that_the_network_lacks_are_not_dropped(tmp_path):
    """A file with non-local blocks is no resnet18, even if a resnet18 is in it."""
    content = fast_reid(network("resnet18"))
    content["model"]["backbone.NL_2.0.g.weight"] = torch.zeros(2, 2)
    path = saved(content, tmp_path / "sbs.pth")
    assert recognise(read_weights(path)) is None
    with pytest.raises(UserError, match=r"layers that the network lacks, such as backbone.NL_2"):
        load_checkpoint(network("resnet18"), path)
    squeezed = timm.create_model("seresnet18").state_dict()
    assert recognise(read_weights(saved(squeezed, tmp_path / "x.pth"))) is None


@pytest.mark.parametrize("name", ["resnext50_32x4d", "wide_resnet50_2", "mobilenet_v2"])
def test_other_networks_are_not_taken_for_ours(name, tmp_path):
    with torch.device("meta"):
        keys = torchvision.models.get_model(name, weights=None).state_dict()
    content = {key: torch.zeros(value.shape) for key, value in keys.items()}
    assert recognise(read_weights(saved(content, tmp_path / "x.pth"))) is None


def test_ours_as_a_bare_state_dict(tmp_path):
    path = saved(network("mini").backbone.state_dict(), tmp_path / "x.pth")
    assert recognise(read_weights(path)) == Recognised("mini", "gem", None, from_reid=False)


def test_timm_is_told_by_name(tmp_path):
    content = timm.create_model("resnet18d").state_dict()
    expected = Recognised("timm/resnet18d", "gem", None, from_reid=False, last_stride=2)
    named = saved(content, tmp_path / "resnet18d_ra2-48a79e06.pth")
    assert recognise(read_weights(named)) == expected
    said = saved({"arch": "resnet18d", "state_dict": content}, tmp_path / "last.pth.tar")
    assert recognise(read_weights(said)) == expected
    assert recognise(read_weights(saved(content, tmp_path / "x.pth"))) is None
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18d"}))
    save_file(content, tmp_path / "model.safetensors")
    assert recognise(read_weights(tmp_path / "model.safetensors")) == expected
    wrong = saved(timm.create_model("resnet26d").state_dict(), tmp_path / "resnet18d.pth")
    assert recognise(read_weights(wrong)) is None
    (tmp_path / "config.json").write_text("{")
    assert recognise(read_weights(tmp_path / "model.safetensors")) is None


def test_a_transformer_has_its_size_and_its_token(tmp_path):
    vit = "timm/vit_tiny_patch16_224"
    content = timm.create_model("vit_tiny_patch16_224").state_dict()
    path = saved(content, tmp_path / "vit_tiny_patch16_224.augreg-1.pth")
    seen = recognise(read_weights(path))
    assert seen == Recognised(vit, "token", (224, 224), from_reid=False, last_stride=2)
    with pytest.raises(UserError, match=r"images of 224x224 pixels, not 128x64\. Set data\.height"):
        load_checkpoint(network(vit, "token", (128, 64)), path)
    loaded = load_checkpoint(network(vit, "token", (224, 224)), path)
    assert loaded.unused == ["head.bias", "head.weight"]


def test_another_architecture_is_refused_by_name(tmp_path):
    path = saved(torchreid(network("osnet_x0_25", "avg")), tmp_path / "x.pth")
    for name in ("osnet_x0_5", "resnet18", "timm/resnet18"):
        with pytest.raises(
            UserError, match=r"holds an osnet_x0_25, .*model.backbone to osnet_x0_25"
        ):
            load_checkpoint(network(name), path)
    content = torchreid(network("osnet_x0_25", "avg"))
    del content["state_dict"]["module.fc.0.weight"]
    with pytest.raises(UserError, match=r"lacks fc\.0\.weight \(1 weight missing"):
        load_checkpoint(network("osnet_x0_25", "avg"), saved(content, path))


def test_names_of_torchvision_serve_timm(tmp_path):
    """A file that fits is not refused for the name that recognition would give it."""
    path = saved(torchvision_file(network("resnet18")), tmp_path / "x.pth")
    loaded = load_checkpoint(network("timm/resnet18"), path)
    assert loaded.unused == ["fc.bias", "fc.weight"]


def test_a_checkpoint_of_training_has_plain_values(tmp_path):
    """Scores of NumPy, of old and new versions, and arguments beside the weights."""
    content = torchreid(network("osnet_x0_25", "avg"))
    content |= {"rank1": np.float32(0.5), "args": argparse.Namespace(lr=1.0), "epoch": 3}
    path = saved(content, tmp_path / "x.pth")
    assert len(read_weights(path).tensors) == len(content["state_dict"])
    old = tmp_path / "old.pth"
    torch.save(content, old, _use_new_zipfile_serialization=False)
    old.write_bytes(old.read_bytes().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray"))
    assert len(read_weights(old).tensors) == len(content["state_dict"])


def test_ours_and_foreign_safetensors(tmp_path):
    net = network("mini")
    save_network(tmp_path / "ours.safetensors", net, config={}, inputs={}, seed=0)
    assert is_ours(tmp_path / "ours.safetensors")
    assert load_checkpoint(network("mini"), tmp_path / "ours.safetensors").unused == []
    foreign = tmp_path / "theirs.safetensors"
    save_file(torchvision_file(network("resnet18")), foreign)
    assert not is_ours(foreign)
    assert load_checkpoint(network("resnet18"), foreign).unused == ["fc.bias", "fc.weight"]
    foreign.write_bytes(foreign.read_bytes()[:400])
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_checkpoint(network("resnet18"), foreign)


def test_a_changed_foreign_file_is_another(tmp_path):
    """Its header has no digest of the tensors."""
    path = tmp_path / "x.safetensors"
    digests = set()
    for value in (0.0, 1.0):
        save_file({"a": torch.full((3,), value)}, path)
        digests.add(file_digest(path))
    assert len(digests) == 2


def test_files_without_weights(tmp_path):
    for name, content in (("empty", {}), ("list", [1]), ("numbers", {"a": 1})):
        with pytest.raises(UserError, match="holds no state dict"):
            read_weights(saved(content, tmp_path / f"{name}.pth"))
    (tmp_path / "nothing.pth").write_bytes(b"")
    with pytest.raises(UserError, match="not a weights file that can be read safely"):
        read_weights(tmp_path / "nothing.pth")
    with pytest.raises(UserError, match=r"The weights file .*none\.pth does not exist"):
        read_weights(Path("none.pth"))


def test_what_was_used_in_words():
    assert str(Loaded(5, [])) == "all of its 5 tensors used"
    assert str(Loaded(5, ["fc.weight"])) == "5 of its 6 tensors used, all but fc.weight"
    assert str(Loaded(5, [str(n) for n in range(12)])).endswith("7, 8, 9 and 2 more")


def test_build_backbone_on_meta_draws_no_numbers():
    """Recognition happens before a network is drawn by its seed, or after."""
    state = torch.get_rng_state()
    with torch.device("meta"):
        build_backbone(Architecture("osnet_x0_25", "avg", 0, 64, 32))
    assert torch.equal(torch.get_rng_state(), state)
