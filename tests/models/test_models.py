import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from torch import nn

import mprd
from mprd.errors import UserError
from mprd.models.backbones.registry import BACKBONES, Architecture, build_backbone
from mprd.models.batchnorm import group_batchnorm
from mprd.models.network import ReidNetwork
from mprd.models.pooling import POOLINGS, GemPool
from mprd.models.weights import load_checkpoint, load_network, save_network


def network(backbone="mini", pooling="gem", group=0, height=32, width=16, seed=0):
    torch.manual_seed(seed)
    return ReidNetwork(Architecture(backbone, pooling, group, height, width))


def of(backbone, **options):
    return Architecture(
        **{"backbone": backbone, "pooling": "gem", "bn_group_size": 0}
        | {"height": 64, "width": 32}
        | options
    )


def save(net, path):
    save_network(path, net, config={}, inputs={"index": "1"}, seed=0)
    return path


@pytest.mark.parametrize("name", [name for name in BACKBONES.names() if "*" not in name])
def test_backbones_keep_the_last_stage_unstrided(name):
    backbone, channels = build_backbone(of(name))
    x = backbone.eval()(torch.zeros(1, 3, 64, 32))
    stride = 8 if name == "mini" else 16
    assert x.shape == (1, channels, 64 // stride, 32 // stride)


def test_unknown_backbone_offers_the_nearest():
    with pytest.raises(UserError, match=r"Unknown backbone 'resnet5o' \(did you mean 'resnet50'"):
        build_backbone(of("resnet5o"))


@pytest.mark.parametrize("name", ["mini", "resnet50_ibn_a", "osnet_x0_25"])
def test_no_imagenet_weights(name):
    with pytest.raises(UserError, match="ImageNet weights"):
        build_backbone(of(name), pretrained=True)


def test_imagenet_weights_come_from_torchvision(monkeypatch):
    """The download is torchvision's own; here its weights are a local stand-in."""
    real = torchvision.models.get_model
    stand_in = real("resnet18", weights=None)
    asked = []

    def get_model(name, weights=None):
        asked.append((name, weights))
        return stand_in

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    backbone, _ = build_backbone(of("resnet18"), pretrained=True)
    assert asked == [("resnet18", "IMAGENET1K_V1")]
    assert torch.equal(backbone.state_dict()["conv1.weight"], stand_in.conv1.weight)


def test_failed_download_is_explained(monkeypatch):
    def get_model(name, weights=None):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models, "get_model", get_model)
    with pytest.raises(UserError, match="could not be downloaded"):
        build_backbone(of("resnet18"), pretrained=True)


def test_ibn_splits_the_channels():
    backbone, _ = build_backbone(of("resnet50_ibn_a"))
    keys = backbone.state_dict()
    assert keys["layer1.0.bn1.IN.weight"].shape == (32,)
    assert keys["layer3.5.bn1.BN.running_mean"].shape == (128,)
    assert "layer4.0.bn1.IN.weight" not in keys


@pytest.mark.parametrize("pooling", [name for name in POOLINGS if name not in ("token", "own")])
def test_embeddings_have_unit_length(pooling):
    x = network(pooling=pooling).train()(torch.randn(4, 3, 32, 16))
    assert x.shape == (4, 192)
    assert torch.allclose(x.norm(dim=1), torch.ones(4), atol=1e-5)


def test_poolings_against_their_formulas():
    x = torch.rand(2, 3, 4, 5)
    flat = x.flatten(2)
    assert torch.allclose(POOLINGS["avg"]()(x), flat.mean(2))
    assert torch.allclose(POOLINGS["max"]()(x), flat.max(2).values)
    assert torch.allclose(POOLINGS["avg+max"]()(x), flat.mean(2) + flat.max(2).values)
    assert torch.allclose(GemPool()(x), (flat**3).mean(2) ** (1 / 3), atol=1e-6)


def test_neck_bias_is_frozen():
    net = network()
    assert not net.neck.bias.requires_grad
    assert net.neck.weight.requires_grad


@pytest.mark.parametrize(("size", "groups"), [(8, [4, 4]), (10, [4, 4, 2]), (9, [4, 5]), (3, [3])])
def test_grouped_batchnorm_normalises_each_group(size, groups):
    norm = group_batchnorm(nn.Sequential(nn.BatchNorm2d(5)), 4).train()
    x = torch.randn(size, 5, 3, 2) * 3 + 1
    expected = [F.batch_norm(part, None, None, training=True) for part in x.split(groups)]
    assert torch.allclose(norm(x), torch.cat(expected), atol=1e-5)


def test_grouped_running_statistics_move_as_far_as_plain_ones():
    grouped = group_batchnorm(nn.Sequential(nn.BatchNorm1d(3)), 4).train()
    x = torch.randn(1, 3).repeat(16, 1) + 0.01 * torch.randn(16, 3)
    grouped(x)
    assert torch.allclose(grouped[0].running_mean, 0.1 * x.mean(0), atol=2e-3)


def test_group_size_zero_is_plain_batchnorm():
    plain = nn.BatchNorm2d(4).train()
    grouped = group_batchnorm(nn.Sequential(nn.BatchNorm2d(4)), 0).train()
    x = torch.randn(6, 4, 2, 2)
    assert torch.equal(plain(x), grouped(x))
    assert torch.equal(plain.running_var, grouped[0].running_var)


def test_save_and_load_give_the_same_network_and_bytes(tmp_path):
    net = network(group=4).eval()
    first, second = save(net, tmp_path / "a.safetensors"), save(net, tmp_path / "b.safetensors")
    assert first.read_bytes() == second.read_bytes()
    loaded, header = load_network(first)
    x = torch.randn(2, 3, 32, 16)
    with torch.no_grad():
        assert torch.equal(net(x), loaded(x))
    assert loaded.architecture == net.architecture
    assert header["inputs"] == '{"index": "1"}'


def test_damaged_models_are_refused(tmp_path, monkeypatch):
    path = save(network(), tmp_path / "m.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="not a readable safetensors file"):
        load_network(tmp_path / "cut.safetensors")
    broken = network()
    with torch.no_grad():
        broken.neck.weight[0] = float("nan")
    with monkeypatch.context() as careless:  # whose writer does not look
        careless.setattr(torch, "isfinite", torch.ones_like)
        save(broken, tmp_path / "nan.safetensors")
    with pytest.raises(UserError, match=r"nan.safetensors: neck.weight holds NaN"):
        load_network(tmp_path / "nan.safetensors")
    with pytest.raises(UserError, match="does not exist"):
        load_network(tmp_path / "none.safetensors")


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s}])
def test_foreign_checkpoints(tmp_path, wrap):
    """IBN-Net files: prefix `module.`, a classifier, no batch counters."""
    source = build_backbone(of("resnet50_ibn_a")).network.state_dict()
    foreign = {f"module.{k}": v for k, v in source.items() if "num_batches" not in k}
    foreign["module.fc.weight"] = torch.zeros(1000, 2048)
    torch.save(wrap(foreign), tmp_path / "ibn.pth")
    net = network("resnet50_ibn_a", seed=1)
    assert load_checkpoint(net, tmp_path / "ibn.pth").unused == ["fc.weight"]
    assert torch.equal(net.backbone.state_dict()["conv1.weight"], source["conv1.weight"])


def test_unfit_checkpoints(tmp_path):
    torch.save(build_backbone(of("resnet18")).network.state_dict(), tmp_path / "r18.pth")
    with pytest.raises(UserError, match=r"r18.pth holds a resnet18, the config asks for mini"):
        load_checkpoint(network(), tmp_path / "r18.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match="not a weights file"):
        load_checkpoint(network(), tmp_path / "text.pth")
    path = save(network("resnet18"), tmp_path / "r18.safetensors")
    with pytest.raises(UserError, match="holds a resnet18, the config asks for mini"):
        load_checkpoint(network(), path)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match="not a weights file"):
        load_checkpoint(network(), tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_embedder_takes_paths_images_and_arrays(tmp_path):
    path = save(network().eval(), tmp_path / "m.safetensors")
    model = mprd.load_model(path, device="cpu")
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 20, 3), dtype=np.uint8)
    files = []
    for i, image in enumerate(pixels):
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(image).save(files[-1])
    found = model.embed(files)
    assert found.dtype == np.float32
    assert found.shape == (3, 192)
    assert np.array_equal(found, model.embed(pixels))
    assert np.array_equal(found, model.embed([Image.fromarray(p) for p in pixels]))
    assert np.allclose(found, model.embed(pixels, batch_size=2), atol=1e-5)
    assert model.embed([]).shape == (0, 192)
    with pytest.raises(ValueError, match=r"uint8 \(n, h, w, 3\)"):
        model.embed(pixels.astype(np.float32))
    with pytest.raises(UserError, match=r"missing.png does not exist"):
        model.embed([tmp_path / "missing.png"])
