"""The weights of an OSNet for BoxMOT: names as in its files, and the same embeddings again."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from mprd.config import dump_yaml, load_config
from mprd.errors import UserError
from mprd.exchange.boxmot import write_boxmot
from mprd.models.backbones.osnet import DESIGNS
from mprd.models.backbones.registry import Architecture
from mprd.models.network import ReidNetwork
from mprd.models.recognition import recognise
from mprd.models.weights import load_checkpoint, save_network
from mprd.models.weights_file import read_weights
from mprd.pipeline.layout import RunLayout
from tests.models.test_osnet import network, published_keys
from tests.stages.pipeline import changed


def of_torchreid(name):
    """Names in a file of torchreid, but for the classifier: torch adds these to its modules."""
    keys = set()
    for module in published_keys(name):
        part = module.rpartition(".")[2]
        if part in ("fc1", "fc2") or module == "fc.0":
            keys |= {f"{module}.weight", f"{module}.bias"}
        elif part in ("conv", "conv1", "conv2"):
            keys.add(f"{module}.weight")
        else:
            keys |= {f"{module}.weight", f"{module}.bias"}
            instance = part == "IN" or (module == "conv1.bn" and DESIGNS[name].instance_stem)
            statistics = ("running_mean", "running_var", "num_batches_tracked")
            keys |= set() if instance else {f"{module}.{one}" for one in statistics}
    return keys


@pytest.fixture
def run(bare_run, tmp_path):
    """A finished run whose model is an OSNet that learnt something, its neck too."""
    layout = RunLayout(shutil.copytree(bare_run.folder, tmp_path / "run"))

    def give(name="osnet_x0_25", pooling="avg", height=256, width=128):
        net = network(name, pooling, height=height, width=width)
        net.neck.running_mean.normal_(0, 0.3)
        net.neck.running_var.uniform_(0.5, 2)
        torch.nn.init.uniform_(net.neck.weight, 0.5, 2)
        save_network(layout.final.model, net, config={}, inputs={}, seed=0)
        return layout, net

    return give


@pytest.mark.parametrize("name", list(DESIGNS))
def test_names_are_those_of_torchreid_and_embeddings_come_back(run, name, tmp_path, cli):
    layout, net = run(name)
    code, said, err = cli("export-to", layout.folder, "boxmot", "--out", tmp_path / "o")
    assert code == 0, err
    file = tmp_path / "o" / f"{name}_mprd.pt"
    assert f"{file.name}: name it as BoxMOT's ReID weights" in said
    content = torch.load(file, weights_only=True)
    assert content["model_name"] == name
    assert name in file.name
    neck = {f"bottleneck.{key}" for key in net.neck.state_dict()}
    assert set(content["state_dict"]) == of_torchreid(name) | neck
    back = ReidNetwork(Architecture(name, "avg", 0, 256, 128)).eval()
    back.precision = "float32"
    loaded = load_checkpoint(back, file)
    assert loaded.unused == []
    images = torch.randn(3, 3, 256, 128)
    with torch.no_grad():
        torch.testing.assert_close(back(images), net(images), atol=1e-5, rtol=0)
        # BoxMOT and torchreid: the mean of the last map, `fc`, and no neck.
        theirs = net.backbone.embed(net.backbone(images).mean(dim=(2, 3)))
        ours = back.backbone.embed(back.backbone(images).mean(dim=(2, 3)))
        torch.testing.assert_close(F.normalize(ours), F.normalize(theirs), atol=1e-5, rtol=0)
    seen = recognise(read_weights(file))
    assert seen is not None
    assert (seen.backbone, seen.pooling) == (name, "avg")


def test_what_boxmot_cannot_build_is_told(run, bare_run, cli, tmp_path):
    layout, _ = run(pooling="gem")
    with pytest.raises(UserError, match=r"model.pooling gem, and BoxMOT's OSNets by the mean"):
        write_boxmot(layout.folder, tmp_path)
    code, _, err = cli("export-to", bare_run.folder, "boxmot", "--out", tmp_path / "o")
    assert code == 2
    assert "a network of the kind mini. BoxMOT builds only these" in err
    assert "osnet_x0_25" in err
    assert not (tmp_path / "o").exists()
    layout, _ = run(height=128, width=64)
    said = write_boxmot(layout.folder, tmp_path)
    assert "it was trained on 128x64 pixels, BoxMOT gives it 256x128" in said
    config = load_config(layout.config)
    layout.config.write_text(dump_yaml(changed(config, data={"features": "f.npy"}, epochs=0)))
    layout.final.model.unlink()
    with pytest.raises(UserError, match="features of another network and no model of its own"):
        write_boxmot(layout.folder, tmp_path)
