"""OSNet: its blocks against a literal reference, and the names and sizes of the published files."""

import onnxruntime
import pytest
import torch
import torch.nn.functional as F

import mprd
from mprd.errors import UserError
from mprd.inference.onnx import export_onnx
from mprd.models.backbones.osnet import DESIGNS
from mprd.models.backbones.registry import BACKBONES, Architecture, build_backbone
from mprd.models.batchnorm import grouped_layers
from mprd.models.footprint import footprint
from mprd.models.network import ReidNetwork, trains_in_bfloat16
from mprd.models.weights import load_checkpoint, save_network

AIN = "osnet_ain_x1_0"


def network(name="osnet_x0_25", pooling="avg", group=0, height=64, width=32, seed=0):
    """With batch statistics that are not those of a fresh network."""
    torch.manual_seed(seed)
    net = ReidNetwork(Architecture(name, pooling, group, height, width)).eval()
    net.precision = "float32"
    for module in net.backbone.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
        if isinstance(getattr(module, "bias", None), torch.nn.Parameter):
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return net


def normed(x, weights, name):
    """Batch norm with stored statistics where there are some, instance norm elsewhere."""
    scale, shift = (weights[f"{name}.{key}"][:, None, None] for key in ("weight", "bias"))
    if f"{name}.running_mean" in weights:
        mean = weights[f"{name}.running_mean"][:, None, None]
        variance = weights[f"{name}.running_var"][:, None, None]
    else:
        mean = x.mean(dim=(2, 3), keepdim=True)
        variance = x.var(dim=(2, 3), correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * scale + shift


def pointwise(x, weight):
    return torch.einsum("oi,bihw->bohw", weight[:, :, 0, 0], x)


def depthwise(x, weight):
    """The sum over nine shifted copies of the map."""
    padded, (h, w) = F.pad(x, (1, 1, 1, 1)), x.shape[2:]
    return sum(
        weight[:, 0, i, j, None, None] * padded[:, :, i : i + h, j : j + w]
        for i in range(3)
        for j in range(3)
    )


def stream_names(length):
    """The light convolutions of a stream, as the files of both papers name them."""
    letter = "abcd"[length - 1]
    first = [f"conv2{letter}.{n}" for n in range(length)] if length > 1 else ["conv2a"]
    return first, [f"conv2.{length - 1}.layers.{n}" for n in range(length)]


def block(x, weights, norm, listed):
    """A block by the formulas of the papers."""
    narrow = normed(pointwise(x, weights["conv1.conv.weight"]), weights, "conv1.bn").relu()
    mixed = 0
    for length in range(1, 5):
        y = narrow
        for name in stream_names(length)[listed]:
            y = depthwise(
                pointwise(y, weights[f"{name}.conv1.weight"]), weights[f"{name}.conv2.weight"]
            )
            y = normed(y, weights, f"{name}.bn").relu()
        mean = y.mean(dim=(2, 3))
        hidden = mean @ weights["gate.fc1.weight"][:, :, 0, 0].T + weights["gate.fc1.bias"]
        gate = hidden.relu() @ weights["gate.fc2.weight"][:, :, 0, 0].T + weights["gate.fc2.bias"]
        mixed = mixed + y * gate.sigmoid()[:, :, None, None]
    y = pointwise(mixed, weights["conv3.conv.weight"])
    y = normed(y, weights, "IN") if norm == "inside" else normed(y, weights, "conv3.bn")
    if "downsample.conv.weight" in weights:
        x = normed(pointwise(x, weights["downsample.conv.weight"]), weights, "downsample.bn")
    y = normed(y + x, weights, "IN") if norm == "outside" else y + x
    return y.relu()


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ibn_x1_0", AIN])
def test_blocks_against_their_formulas(name):
    design, trunk = DESIGNS[name], network(name).backbone
    for stage, norms in enumerate(design.blocks, 2):
        for number, norm in enumerate(norms):
            module = trunk.get_submodule(f"conv{stage}")[number].double()
            weights = {key: value.detach() for key, value in module.state_dict().items()}
            channels = weights["conv1.conv.weight"].shape[1]
            x = torch.randn(2, channels, 6, 4, dtype=torch.float64)
            with torch.no_grad():
                expected = block(x, weights, norm, design.listed)
                torch.testing.assert_close(module(x.clone()), expected)


@pytest.mark.parametrize("name", list(DESIGNS))
def test_the_whole_is_stem_stages_transitions_and_fc(name):
    net, x = network(name), torch.randn(2, 3, 64, 32)
    weights, listed = net.backbone.state_dict(), DESIGNS[name].listed

    def convolved(y, part, stride=1):
        weight = weights[f"{part}.conv.weight"]
        y = F.conv2d(y, weight, stride=stride, padding=weight.shape[-1] // 2)
        return normed(y, weights, f"{part}.bn").relu()

    with torch.no_grad():
        y = F.max_pool2d(convolved(x, "conv1", 2), 3, 2, 1)
        for stage in (2, 3, 4):
            for number in (0, 1):
                y = net.backbone.get_submodule(f"conv{stage}.{number}")(y)
            if stage < 4:
                y = convolved(y, f"pool{stage}.0" if listed else f"conv{stage}.2.0")
                y = F.avg_pool2d(y, 2)
        y = convolved(y, "conv5").mean(dim=(2, 3)) @ weights["fc.0.weight"].T
        y = y + weights["fc.0.bias"]
        mean, variance = weights["fc.1.running_mean"], weights["fc.1.running_var"]
        y = (y - mean) / (variance + 1e-5).sqrt() * weights["fc.1.weight"] + weights["fc.1.bias"]
        torch.testing.assert_close(net(x), F.normalize(y.relu()), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "millions", "exact"),
    [
        ("osnet_x0_25", 0.2, 201_864),
        ("osnet_x0_5", 0.6, 630_034),
        ("osnet_x0_75", 1.3, 1_285_754),
        ("osnet_x1_0", 2.2, 2_169_508),
        ("osnet_ibn_x1_0", 2.2, 2_170_532),
        (AIN, 2.2, 2_169_508),
    ],
)
def test_sizes_are_those_of_the_papers(name, millions, exact):
    weights = sum(weight.numel() for weight in network(name).backbone.parameters())
    assert round(weights / 1e6, 1) == millions
    assert weights == exact


def published_keys(name):
    """The rule of the names in the published files, without running statistics."""
    design = DESIGNS[name]
    yield from ("conv1.conv", "conv1.bn")
    for stage, norms in enumerate(design.blocks, 2):
        for number, norm in enumerate(norms):
            prefix = f"conv{stage}.{number}"
            yield from (f"{prefix}.conv1.conv", f"{prefix}.conv1.bn", f"{prefix}.conv3.conv")
            yield from (f"{prefix}.gate.fc1", f"{prefix}.gate.fc2")
            for length in range(1, 5):
                for light in stream_names(length)[design.listed]:
                    yield from (f"{prefix}.{light}.{part}" for part in ("conv1", "conv2", "bn"))
            if norm != "inside":
                yield f"{prefix}.conv3.bn"
            if norm != "batch":
                yield f"{prefix}.IN"
            if number == 0:
                yield from (f"{prefix}.downsample.conv", f"{prefix}.downsample.bn")
        if stage < 4:
            half = f"pool{stage}.0" if design.listed else f"conv{stage}.2.0"
            yield from (f"{half}.conv", f"{half}.bn")
    yield from ("conv5.conv", "conv5.bn", "fc.0", "fc.1")


@pytest.mark.parametrize("name", list(DESIGNS))
def test_names_are_those_of_the_files(name):
    keys = network(name).backbone.state_dict()
    assert {key.rpartition(".")[0] for key in keys} == set(published_keys(name))
    statistics = {key for key in keys if key.startswith("conv1.bn.running")}
    assert bool(statistics) != DESIGNS[name].instance_stem
    assert {key for key in keys if ".IN." in key and "running" in key} == set()


def test_a_published_file_is_the_start(tmp_path):
    """`module.`, a classifier and a wrapper; the embedding is that behind `fc`."""
    source = network(seed=1)
    content = {f"module.{key}": value for key, value in source.backbone.state_dict().items()}
    content |= {f"module.classifier.{key}": torch.zeros(9) for key in ("weight", "bias")}
    torch.save({"state_dict": content, "epoch": 60}, tmp_path / "osnet.pth.tar")
    net, x = network(seed=2), torch.randn(2, 3, 64, 32)
    load_checkpoint(net, tmp_path / "osnet.pth.tar")
    with torch.no_grad():
        embedded = source.backbone.embed(source.backbone(x).mean(dim=(2, 3)))
        torch.testing.assert_close(net(x), F.normalize(embedded))
        assert net(x).shape == (2, net.dim) == (2, 512)


def test_no_stride_to_change():
    with pytest.raises(UserError, match=r"osnet_x0_25 has no strided last stage"):
        build_backbone(Architecture("osnet_x0_25", "avg", 0, 64, 32, 2))


@pytest.mark.parametrize("name", ["osnet_ibn_x1_0", AIN])
def test_groups_reach_every_batchnorm_and_no_instance_norm(name):
    net = network(name, group=4)
    plain = network(name)
    layers = [m for m in plain.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    assert len(grouped_layers(net)) == len(layers)
    plain.load_state_dict(net.state_dict())
    x = torch.randn(8, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(x), plain(x))
        plain.train().requires_grad_(False)
        expected = torch.cat([plain(part) for part in x.split(4)])
        torch.testing.assert_close(net.train()(x), expected, atol=1e-4, rtol=1e-4)


def test_it_trains_in_float32_on_a_cpu_and_all_of_it_learns():
    net = network(AIN).train()
    assert not trains_in_bfloat16(net)
    net(torch.randn(6, 3, 64, 32))[:, :9].sum().backward()
    still = [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None]
    assert still == []


def test_the_memory_estimate_covers_what_a_backward_pass_keeps():
    net = network(height=128, width=64).train()
    kept: dict[int, int] = {}

    def note(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in net.parameters()}
    x = torch.randn(8, 3, 128, 64)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        out = net(x)
    out.sum().backward()
    measured = sum(size for place, size in kept.items() if place not in weights) / 8
    estimate = footprint(net.eval()).activations
    assert 0.9 * measured < estimate < 1.6 * measured


def test_saved_loaded_and_as_onnx(tmp_path, monkeypatch):
    monkeypatch.setattr("mprd.models.backbones.osnet._LENGTHS", (1, 3))  # of each kind one stream
    net, path = network(AIN, pooling="gem", group=4), tmp_path / "model.safetensors"
    save_network(path, net, config={}, inputs={}, seed=0)
    pixels = torch.randint(0, 256, (3, 64, 32, 3), dtype=torch.uint8).numpy()
    model = mprd.load_model(path, device="cpu", precision="float32")
    embedded = model.embed(pixels)
    assert embedded.shape == (3, 512)
    assert export_onnx(path, tmp_path / "model.onnx") == (64, 32, 512)
    session = onnxruntime.InferenceSession(
        tmp_path / "model.onnx", providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"images": pixels})
    torch.testing.assert_close(torch.tensor(found), torch.tensor(embedded), atol=1e-4, rtol=0)


def test_every_design_has_a_name():
    assert {name for name in BACKBONES.names() if name.startswith("osnet")} == set(DESIGNS)
