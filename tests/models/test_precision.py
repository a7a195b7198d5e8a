"""Numbers of the feature maps: who computes in bfloat16, and what stays float32."""

from types import SimpleNamespace

import pytest
import torch

from mprd.models import network as network_module
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork, trains_in_bfloat16, uses_bfloat16

CPU = torch.device("cpu")


def network(backbone="mini", setting="auto", size=(32, 16)):
    torch.manual_seed(0)
    built = ReidNetwork(Architecture(backbone, "gem", 0, *size))
    built.precision = setting
    return built


@pytest.fixture(scope="module")
def images():
    return torch.randn(6, 3, 32, 16, generator=torch.Generator().manual_seed(1))


def map_dtype(net, images):
    """The dtype of the last feature map."""
    seen = []
    handle = net.backbone.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    net(images)
    handle.remove()
    return seen[0]


def test_a_setting_is_obeyed_and_embeddings_are_float32(images):
    for setting, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        for training in (True, False):
            net = network(setting=setting).train(training)
            assert map_dtype(net, images) == dtype
            out = net(images)
            assert out.dtype == torch.float32
            torch.testing.assert_close(out.norm(dim=1), torch.ones(6))


def test_bfloat16_is_near_and_the_same_each_time(images):
    exact, low = network(setting="float32").eval(), network(setting="bfloat16").eval()
    with torch.inference_mode():
        cosine = (exact(images) * low(images)).sum(dim=1)
        assert torch.equal(low(images), low(images))
    assert cosine.min() > 0.995
    assert cosine.min() < 1 - 1e-7, "it was computed in float32"


def test_training_in_bfloat16_learns_in_float32(images):
    grads = []
    for _ in range(2):
        net = network(setting="bfloat16").train()
        net(images)[:, 0].sum().backward()
        grads.append([p.grad for p in net.parameters() if p.requires_grad])
    assert all(g.dtype == torch.float32 and bool(g.isfinite().all()) for g in grads[0])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


@pytest.mark.parametrize(("card", "has"), [(7, False), (8, True), (9, True)])
def test_a_gpu_computes_bfloat16_from_capability_8_on(card, has, monkeypatch):
    asked = []

    def properties(device):
        asked.append(device)
        return SimpleNamespace(major=card)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    second = torch.device("cuda", 1)
    for training in (True, False):
        assert uses_bfloat16("auto", second, network().train(training)) == has
    assert asked == [second, second], "the device asked for, not the first one"
    assert uses_bfloat16("bfloat16", second, network())
    assert not uses_bfloat16("float32", second, network())


@pytest.mark.parametrize("has", [True, False])
def test_auto_is_a_rule_for_each_network(has, monkeypatch):
    monkeypatch.setattr(network_module, "cpu_has_bfloat16", lambda: has)
    mini, resnet = network(), network("resnet18")
    assert uses_bfloat16("auto", CPU, mini.eval()) == has
    assert not uses_bfloat16("auto", CPU, mini.train()), "narrow convolutions"
    assert uses_bfloat16("auto", CPU, resnet.train()) == has
    depthwise = network("timm/mobilenetv2_050", size=(32, 32))
    assert not trains_in_bfloat16(depthwise)
