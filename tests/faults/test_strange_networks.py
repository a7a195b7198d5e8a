"""Weights that somebody made to do harm, with right checksums: judged before they are built."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mprd.artifacts.files import file_digest, json_digest
from mprd.artifacts.tensors import read_safetensors, tensors_digest
from mprd.errors import UserError
from mprd.gcn.weights import load_gcn
from mprd.inference.feature_files import read_array
from mprd.models.weights import load_checkpoint, load_network
from mprd.models.weights_file import is_ours, stored_architecture
from mprd.report.inspect.describe import describe
from tests.faults.limits import bounded, refused


def sealed(path: Path, header: dict, tensors: dict[str, torch.Tensor], **other: str) -> Path:
    """Write a file of mprd with a right checksum."""
    header = {**header, **other, "digest": tensors_digest(tensors)}
    header = {key: value for key, value in header.items() if value is not None}
    header["checksum"] = json_digest(header)
    save_file(tensors, path, {"mprd": json.dumps(header)})
    return path


TIMM = {"backbone": "timm/vit_base_patch16_224", "pooling": "avg", "height": 224, "width": 224}
TIMM |= {"last_stride": 2}


def timm(network: str = "vit_base_patch16_224", *, fixed: bool = True, **arguments) -> dict:
    known = {"network": network, "arguments": arguments, "fixed": fixed}
    return TIMM | {"timm": json.dumps(known)}


ARCHITECTURES = {
    "unknown field": {"more": 1},
    "unknown network": {"backbone": "resnet51"},
    "no word as network": {"backbone": 3},
    "another network": {"backbone": "resnet50"},
    "unknown pooling": {"pooling": "max"},
    "pooling of a list": {"pooling": ["gem"]},
    "width of a list": {"width": [1, 2]},
    "images of a million pixels a side": {"height": 10**6},
    "negative": {"width": -1},
    "a number in words": {"last_stride": "1"},
    "a mean of two": {"mean": [0.5, 0.5]},
    "a deviation of zero": {"std": [0.1, 0.1, 0.0]},
    "infinite": {"mean": [float("inf"), 0.0, 0.0]},
    "gigabytes": {"backbone": "timm/vit_giant_patch14_dinov2", "height": 518, "width": 518},
    "wide": timm(embed_dim=2**16),
    "deep": timm(depth=10**7),
    "names a checkpoint": timm(checkpoint_path="/etc/passwd"),
    "downloads": timm(pretrained=True),
    "names weights": timm(pretrained_cfg={"file": "/etc/passwd"}),
    "names a cache": timm(cache_dir="/tmp/x"),
    "of a folder": timm("local-dir:/tmp"),
    "of the hub": timm("hf-hub:someone/thing"),
    "unknown argument": timm(spread=3),
    "no JSON": TIMM | {"timm": "{"},
    "not an object": TIMM | {"timm": "[1]"},
    "nested": TIMM | {"timm": "[" * 50_000},
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_judged_before_it_is_built(judged_run, tmp_path, name):
    import timm as _  # noqa: F401  its import takes its time, and memory

    header, tensors = read_safetensors(judged_run.epoch(2).model, "mprd.model", "train")
    built = json.loads(header["architecture"]) | ARCHITECTURES[name]
    path = sealed(tmp_path / "m.safetensors", header, tensors, architecture=json.dumps(built))
    refused(lambda: load_network(path), path)


HEADERS = {
    "no architecture": {"architecture": None},
    "architecture of a list": {"architecture": "[1]"},
    "architecture of nothing": {"architecture": "{}"},
    "nested": {"architecture": "[" * 100_000},
    "twice": {"architecture": '{"backbone": "mini", "backbone": "resnet50"}'},
    "config of a word": {"config": '"x"'},
    "no inputs": {"inputs": None},
    "seed in words": {"seed": "one"},
    "no seed": {"seed": None},
    "no schema": {"schema": None},
    "a version of 99": {"schema_version": "99"},
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_a_stranger(judged_run, tmp_path, name):
    for source, read in (
        (judged_run.epoch(2).model, load_network),
        (judged_run.epoch(2).gcn, lambda path: load_gcn(path, 192)),
    ):
        header, tensors = read_safetensors(source, ("mprd.model", "mprd.gcn"), "train")
        path = sealed(tmp_path / source.name, header, tensors, **HEADERS[name])
        refused(lambda read=read, path=path: read(path), path)
        if name not in ("architecture of nothing",):
            refused(lambda path=path: describe(path), path)
        with bounded():
            stored_architecture(path)
            is_ours(path)


SHAPES = {
    "gigabytes": {"mlp": 10**6},
    "beyond 64 bits": {"mlp": 2**63, "inputs": 10**30},
    "a product beyond 64 bits": {"conv": [2**40, 2**40]},
    "a million layers": {"hidden": [8] * 10**5},
    "no layers": {"hidden": []},
    "a word": {"inputs": "x"},
    "another network": {"network": "gatv2"},
    "unknown network": {"network": "transformer"},
    "a network of a list": {"network": ["dgcnn"]},
    "unknown features": {"node_features": "both"},
    "dropout": {"dropout": 7},
    "too few nodes": {"sort_k": 3},
    "too many nodes": {"sort_k": 10**9},
    "one number": {"conv": 3},
    "more": {"more": 3},
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_judged_before_it_is_built(judged_run, tmp_path, name):
    header, tensors = read_safetensors(judged_run.epoch(2).gcn, "mprd.gcn", "train")
    built = json.loads(header["architecture"]) | SHAPES[name]
    path = sealed(tmp_path / "g.safetensors", header, tensors, architecture=json.dumps(built))
    said = refused(lambda: load_gcn(path, 192), path) if name != "unknown network" else ""
    assert "does not exist" not in said
    if name == "unknown network":
        with bounded(), pytest.raises(UserError, match="transformer"):
            load_gcn(path, 192)


def raw(path: Path, header: bytes, length: int | None = None, data: bytes = bytes(16)) -> Path:
    size = len(header) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + header + data)
    return path


def entry(begin: int, end: int, shape: list[int], dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


FOUR = json.dumps(entry(0, 16, [4]))
RAW = {
    "nothing": (b"", None),
    "a list": (b"[]", None),
    "a number": (b"3", None),
    "no JSON": (b"{", None),
    "no text": (b"\xff\xfe", None),
    "nested": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, None),
    "longer than the file": (b"{}", 10**9),
    "longer than any file": (b"{}", 2**63),
    "a name twice": (f'{{"a": {FOUR}, "a": {FOUR}}}'.encode(), None),
    "overlapping": (json.dumps({"a": entry(0, 16, [4]), "b": entry(8, 16, [2])}).encode(), None),
    "a hole": (json.dumps({"a": entry(8, 16, [2])}).encode(), None),
    "too little data": (json.dumps({"a": entry(0, 4000, [1000])}).encode(), None),
    "negative": (json.dumps({"a": entry(0, 16, [-4])}).encode(), None),
    "overflow": (json.dumps({"a": entry(0, 16, [2**62, 2**62])}).encode(), None),
    "unknown numbers": (json.dumps({"a": entry(0, 16, [4], "F31")}).encode(), None),
    "numbers of 8 bits": (json.dumps({"a": entry(0, 16, [16], "F8_E4M3")}).encode(), None),
    "numbers of 4 bits": (json.dumps({"a": entry(0, 16, [32], "F4")}).encode(), None),
    "dtype of a list": (json.dumps({"a": entry(0, 16, [16]) | {"dtype": [1]}}).encode(), None),
    "no entry": (b'{"a": 3}', None),
    "notes of a list": (f'{{"__metadata__": [1], "a": {FOUR}}}'.encode(), None),
    "a note of a number": (f'{{"__metadata__": {{"mprd": 1}}, "a": {FOUR}}}'.encode(), None),
    "our note a list": (f'{{"__metadata__": {{"mprd": "[]"}}, "a": {FOUR}}}'.encode(), None),
    "our note nested": (
        json.dumps({"__metadata__": {"mprd": "[" * 50_000}, "a": entry(0, 16, [4])}).encode(),
        None,
    ),
}


@pytest.mark.parametrize("name", RAW)
def test_a_safetensors_file_of_a_stranger(judged_run, tmp_path, name):
    header, length = RAW[name]
    path = raw(tmp_path / "m.safetensors", header, length)
    network, _ = load_network(judged_run.epoch(2).model)
    for reader in (
        lambda: load_network(path),
        lambda: load_gcn(path, 192),
        lambda: describe(path),
        lambda: load_checkpoint(network, path),
        lambda: read_array(path),
    ):
        refused(reader, path)
    with bounded():
        assert stored_architecture(path) is None
        file_digest(path)
