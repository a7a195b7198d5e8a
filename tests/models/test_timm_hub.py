"""Networks of the hub: their own input, size and pooling; what happens without a connection."""

import json
import pickle
import time

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F

from mprd.config import validate
from mprd.errors import UserError
from mprd.inference.embedder import load_model
from mprd.models.backbones.hub import hub_file
from mprd.models.backbones.registry import Architecture, build_backbone
from mprd.models.backbones.timm_source import described_source, named_source
from mprd.models.network import ReidNetwork, build_network
from mprd.models.own_input import with_own_input
from mprd.models.recognition import recognise
from mprd.models.weights import load_checkpoint, load_network, save_network
from mprd.models.weights_file import read_weights
from tests.hub import in_cache

MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]
DATA = {"mean": MEAN, "std": STD, "num_classes": 0}


def swin():
    """As MegaDescriptor: a Swin transformer without a classifier, all facts in one place."""
    torch.manual_seed(1)
    network = timm.create_model("swin_tiny_patch4_window7_224", num_classes=0, depths=(1, 1, 1, 1))
    said = {"input_size": [3, 224, 224], "fixed_input_size": True, "first_conv": "patch_embed.proj"}
    config = {"architecture": "swin_tiny_patch4_window7_224", "num_classes": 0}
    arguments = {"depths": [1, 1, 1, 1]}
    return network, config | {"pretrained_cfg": DATA | said, "model_args": arguments}


def vit(**arguments):
    """As DINOv2: a class token, images of 56x56 that need not be."""
    torch.manual_seed(2)
    arguments = {"depth": 2, "img_size": 56} | arguments
    network = timm.create_model("vit_tiny_patch16_224", num_classes=0, patch_size=14, **arguments)
    said = {"input_size": [3, 56, 56], "fixed_input_size": True, "first_conv": "patch_embed.proj"}
    config = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": DATA | said}
    return network, config | {"model_args": arguments | {"patch_size": 14}}


def pooled_patches():
    """As EVA: the mean of the patches, with a norm behind it."""
    network, config = vit(global_pool="avg")
    with torch.no_grad():
        network.fc_norm.weight.normal_()
    return network, config


def convolutions():
    """As ConvNeXt: a norm behind the pooling."""
    torch.manual_seed(3)
    network = timm.create_model("convnext_atto", num_classes=0, depths=(1, 1, 1, 1))
    with torch.no_grad():
        network.head.norm.weight.normal_()
    return network, {
        "architecture": "convnext_atto",
        "pretrained_cfg": DATA | {"input_size": [3, 64, 64]},
        "model_args": {"depths": [1, 1, 1, 1]},
    }


NETWORKS = [swin, vit, pooled_patches, convolutions]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache; the hub cannot be reached."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}",
        raising=False,
    )
    return folder


def run_config(name, height, width, **more):
    model = {"backbone": f"timm/hf-hub:{name}", "pooling": "own", "last_stride": 2}
    model |= {"bn_group_size": 0}
    return validate({"model": model, "data": {"height": height, "width": width}, **more}, "test")


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_the_embedding_is_that_of_the_network(make, file, cache, tmp_path):
    """From the same pixels, with its own pooling; a stored model needs no hub."""
    theirs, config = make()
    in_cache(cache, "me/net", config, theirs, file)
    height, width = named_source("timm/hf-hub:me/net").size
    ours = build_network(run_config("me/net", height, width), height, width, pretrained=True)
    path = tmp_path / "model.safetensors"
    save_network(path, ours.eval(), config={}, inputs={}, seed=0)
    (cache / "models--me--net").rename(cache / "gone")
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    found = load_model(path, "cpu", "float32").embed(pixels)
    scaled = (torch.from_numpy(pixels) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.no_grad():
        expected = F.normalize(theirs.eval()(scaled.permute(0, 3, 1, 2)), dim=1)
    # The BNNeck of an untrained network divides by sqrt(1 + 1e-5).
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("make", [swin, vit, pooled_patches])
def test_a_person_is_not_square(make, cache):
    """timm changes position embeddings for other sizes; whatever the pooling."""
    theirs, config = make()
    in_cache(cache, "me/net", config, theirs, "model.safetensors")
    for pooling in ("own", "avg"):
        shape = Architecture("timm/hf-hub:me/net", pooling, 0, 256, 128, last_stride=2)
        network = ReidNetwork(with_own_input(shape), pretrained=True).eval()
        with torch.no_grad():
            assert network(torch.randn(2, 3, 256, 128)).shape == (2, theirs.num_features)


def test_a_network_for_any_size_has_the_grid_of_its_images(cache):
    theirs, config = vit(dynamic_img_size=True)
    in_cache(cache, "me/net", config, theirs, "model.safetensors")
    shape = Architecture("timm/hf-hub:me/net", "gem", 0, 84, 42, last_stride=2)
    backbone, _ = build_backbone(with_own_input(shape), pretrained=True)
    assert backbone.eval()(torch.zeros(1, 3, 84, 42)).shape == (1, 192, 6, 3)


def test_plain_names_have_the_input_of_timm():
    for name, mean in (
        ("vit_tiny_patch16_224", (0.5, 0.5, 0.5)),
        ("vit_base_patch16_clip_224.openai", (0.48145466, 0.4578275, 0.40821073)),
        ("resnet18", (0.485, 0.456, 0.406)),
        ("vit_small_patch16_224.dino", (0.485, 0.456, 0.406)),
    ):
        shape = with_own_input(Architecture(f"timm/{name}", "avg", 0, 224, 224))
        assert (shape.mean, shape.timm) == (mean, "")
    lite0 = Architecture("timm/tf_efficientnet_lite0", "avg", 0, 128, 64)
    assert with_own_input(lite0) == lite0
    assert with_own_input(Architecture("resnet50", "avg", 0, 128, 64)).mean == (0.485, 0.456, 0.406)


def test_older_models_keep_the_input_that_they_were_trained_with(tmp_path):
    fields = Architecture("timm/vit_tiny_patch16_224", "token", 0, 224, 224).as_dict()
    for name in ("mean", "std", "timm"):
        del fields[name]
    assert Architecture.from_dict(fields).mean == (0.485, 0.456, 0.406)
    # A run that starts from such a model does, too.
    path = tmp_path / "m.safetensors"
    network = ReidNetwork(Architecture("timm/vit_tiny_patch16_224", "token", 0, 32, 32))
    save_network(path, network, config={}, inputs={}, seed=0)
    assert with_own_input(network.architecture, path).mean == (0.485, 0.456, 0.406)
    assert with_own_input(network.architecture).mean == (0.5, 0.5, 0.5)


def test_offline_is_one_try_and_a_sentence(cache, monkeypatch):
    import huggingface_hub as hub

    asked = []
    ask = hub.get_hf_file_metadata
    monkeypatch.setattr(
        hub, "get_hf_file_metadata", lambda *a, **k: asked.append(a) or ask(*a, **k)
    )
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        build_network(run_config("me/net", 64, 64), 64, 64, pretrained=True)
    assert time.monotonic() - start < 8
    assert len(asked) == 1
    assert "Cannot reach the hub for me/net (" in str(error.value)
    assert "hf download me/net --local-dir FOLDER" in str(error.value)
    with pytest.raises(UserError, match=r"Cannot reach the hub for timm/resnet18"):
        build_backbone(Architecture("timm/resnet18", "gem", 0, 64, 32), pretrained=True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"Cannot reach the hub for me/net"):
        hub_file("me/net", "config.json")


def test_a_name_that_is_none(cache):
    with pytest.raises(UserError, match=r"The hub shows no network 'me/a/b'"):
        named_source("timm/hf-hub:me/a/b")
    in_cache(cache, "me/bert", {"architectures": ["BertModel"]}, None, "")
    with pytest.raises(UserError, match=r"me/bert on the hub is no network of timm"):
        named_source("timm/hf-hub:me/bert")
    wrong = {"architecture": "resnet18", "pretrained_cfg": {"mean": [0.5]}}
    in_cache(cache, "me/gray", wrong, None, "")
    with pytest.raises(UserError, match=r"config.json says of resnet18 what timm does not"):
        named_source("timm/hf-hub:me/gray")


def test_code_in_a_weights_file_is_not_run(cache, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path.joinpath("fired").write_text, ("x",))

    _, config = vit()
    folder = in_cache(cache, "me/net", config, None, "")
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"x": Bomb()}))
    with pytest.raises(UserError, match=r"not a weights file that can be read safely"):
        build_network(run_config("me/net", 56, 56), 56, 56, pretrained=True)
    assert not (tmp_path / "fired").exists()


def test_weights_that_are_missing_are_not_random(cache):
    theirs, config = vit()
    config["pretrained_cfg"] |= {"num_classes": 1000, "classifier": "head"}
    del theirs.blocks[1]
    in_cache(cache, "me/net", config, theirs, "model.safetensors")
    with pytest.raises(UserError, match=r"lacks blocks\.1\.\w+\S* \(\d+ weights missing\)"):
        build_network(run_config("me/net", 56, 56), 56, 56, pretrained=True)


def test_arguments_of_a_file_cannot_name_other_files(tmp_path):
    _, config = vit()
    config["model_args"] |= {"checkpoint_path": "/etc/passwd", "pretrained_cfg": {"file": "x"}}
    config["pretrained_cfg"] |= {"file": "x", "custom_load": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    source = described_source(tmp_path / "config.json")
    assert set(source.arguments) == {"depth", "patch_size"}
    assert not {"file", "custom_load"} & set(source.data)


def test_a_downloaded_folder_needs_no_hub(cache, tmp_path):
    """`hf download --local-dir`: the config beside the weights says the same as the hub."""
    theirs, config = vit()
    folder = in_cache(cache, "me/net", config, theirs, "model.safetensors")
    local = folder.rename(tmp_path / "local")
    weights = local / "model.safetensors"
    seen = recognise(read_weights(weights))
    assert (seen.backbone, seen.pooling, seen.size) == (
        "timm/vit_tiny_patch16_224",
        "own",
        (56, 56),
    )
    networks = []
    for backbone in ("timm/vit_tiny_patch16_224", "timm/hf-hub:me/net"):
        config = run_config("me/net", 56, 56, precision="float32")
        config = config.model_copy(
            update={"model": config.model.model_copy(update={"backbone": backbone})}
        )
        network = build_network(config, 56, 56, pretrained=False, checkpoint=weights).eval()
        load_checkpoint(network, weights)
        assert network.statistics == (tuple(MEAN), tuple(STD))
        networks.append(network)
    x = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        expected = F.normalize(theirs.eval()(x), dim=1)
        for network in networks:
            torch.testing.assert_close(network(x), expected, atol=1e-5, rtol=1e-5)


def test_only_networks_of_timm_pool_on_their_own(tmp_path):
    with pytest.raises(UserError, match=r"mini has no pooling of its own"):
        ReidNetwork(Architecture("mini", "own", 0, 32, 16))
    network = ReidNetwork(Architecture("timm/resnet18", "own", 0, 64, 32)).eval()
    save_network(tmp_path / "m.safetensors", network, config={}, inputs={}, seed=0)
    loaded, _ = load_network(tmp_path / "m.safetensors")
    x = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(loaded(x), network(x))
        theirs = network.backbone.network
        pooled = theirs.forward_head(theirs.forward_features(x), pre_logits=True)
        assert torch.equal(network.backbone(x)[:, :, 0, 0], pooled)
