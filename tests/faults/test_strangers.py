"""Artifacts that somebody made to do harm, with right checksums: a sentence in little memory."""

import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import save_file

from mprd.artifacts import FEATURES, INDEX, PIXELS, read_artifact
from mprd.artifacts.checksums import _head, seal
from mprd.artifacts.files import file_digest, json_digest
from mprd.artifacts.tensors import read_safetensors, tensors_digest
from mprd.errors import UserError
from mprd.gcn.weights import load_gcn
from mprd.inference.feature_files import image_names, read_array
from mprd.models.weights import load_checkpoint, load_network
from mprd.models.weights_file import is_ours, stored_architecture
from mprd.report.inspect.describe import describe
from tests.artifacts.edit import edit

SECONDS = 20  # of a machine that is busy; alone it is well below one
MEMORY = 300 * 2**20
MANY = 200_000
SENTENCE_AT_MOST = 1000


@contextmanager
def bounded() -> Iterator[None]:
    """What is done in here takes some seconds at most, and little memory."""
    before, begin = resource.getrlimit(resource.RLIMIT_AS), time.monotonic()
    limit = psutil.Process().memory_info().vms + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.monotonic() - begin < SECONDS


def refused(reader: Callable[[], object], path: Path) -> str:
    with bounded(), pytest.raises(UserError) as caught:
        reader()
    said = str(caught.value)
    assert path.name in said
    assert len(said) < SENTENCE_AT_MOST
    return said


def replace(key: str, **options) -> Callable[[h5py.File], None]:
    """Return a change that writes a data set in another way."""

    def change(file: h5py.File) -> None:
        values = file[key][:]
        del file[key]
        file.create_dataset(key, data=values, **options)

    return change


def packed(file: h5py.File) -> None:
    """One chunk of four gigabytes that takes four megabytes."""
    del file["features"]
    shape = (2**16, 2**12)
    data = file.create_dataset("features", shape, "f4", chunks=shape, compression="gzip")
    data.id.write_direct_chunk((0, 0), np.zeros(2**20, np.uint8).tobytes())


def elsewhere(kind: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file["features"]
        if kind == "soft":
            file["features"] = h5py.SoftLink("/row")
        elif kind == "external":
            file["features"] = h5py.ExternalLink("/etc/passwd", "features")
        else:
            external = [("/etc/passwd", 0, 54 * 192 * 4)]
            file.create_dataset("features", (54, 192), "f4", external=external)

    return change


def wide_attribute(file: h5py.File) -> None:
    file.attrs.create(
        "splits", np.array(["train" * 1000] * 1000, object), dtype=h5py.string_dtype()
    )


def many_names(file: h5py.File) -> None:
    for number in range(40):
        file[f"again{number}"] = file["features"]


PLAIN = {
    "one packed chunk": packed,
    "filter": replace("features", compression="gzip", chunks=True),
    "checksum filter": replace("features", fletcher32=True),
    "chunks": replace("features", chunks=True),
    "soft link": elsewhere("soft"),
    "external link": elsewhere("external"),
    "external storage": elsewhere("storage"),
    "attribute of many strings": wide_attribute,
    "forty names of one data set": many_names,
    "empty data set": lambda file: file.create_dataset("more", data=h5py.Empty("f4")),
    "group": lambda file: file.create_group("more"),
    "structure": lambda file: file.create_dataset("more", (2,), [("a", "f4")]),
    "attribute of a data set": lambda file: file["row"].attrs.create("description", [1.0, 2.0]),
    "inputs are a list": lambda file: file.attrs.__setitem__("inputs", "[1]"),
    "inputs are nested": lambda file: file.attrs.__setitem__("inputs", "[" * 60_000),
    "version in words": lambda file: file.attrs.__setitem__("schema_version", "one"),
    "no date": lambda file: file.attrs.__delitem__("created"),
}


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_not_plain_is_refused_before_it_is_read(judged_run, tmp_path, name):
    path = tmp_path / "features.h5"
    path.write_bytes(judged_run.epoch(2).features.read_bytes())
    edit(path, PLAIN[name])
    for reader in (lambda: read_artifact(path, FEATURES), lambda: describe(path)):
        refused(reader, path)
    with bounded():
        file_digest(path)


@pytest.fixture
def one_text(judged_run, tmp_path) -> Path:
    """An index of thousands of references to one string of 40 kB: eight gigabytes of text."""
    path = tmp_path / "index.h5"
    path.write_bytes(judged_run.index.read_bytes())

    def change(file: h5py.File) -> None:
        del file["path"]
        file.create_dataset("path", (MANY,), h5py.string_dtype())[0] = "a" * 40_000

    edit(path, change)
    with h5py.File(path) as file:
        begin = file["path"].id.get_offset()
    with path.open("r+b") as stream:
        stream.seek(begin)
        reference = stream.read(16)
        stream.seek(begin)
        stream.write(reference * MANY)
    seal(path, INDEX)
    return path


def test_strings_count_as_often_as_they_are_named(one_text):
    said = refused(lambda: read_artifact(one_text, INDEX), one_text)
    assert "path declares more values than the file holds" in said
    refused(lambda: describe(one_text), one_text)
    refused(lambda: image_names(one_text, MANY), one_text)


def test_features_of_other_programs_may_be_packed_but_not_without_end(tmp_path):
    path, values = tmp_path / "theirs.h5", np.random.default_rng(0).normal(size=(500, 32))
    with h5py.File(path, "w") as file:
        group = file.create_group("more")
        group["x"] = h5py.SoftLink("/nowhere")
        file.create_dataset("features", data=values, compression="gzip", maxshape=(None, 32))
    np.testing.assert_array_equal(read_array(path), values)
    assert image_names(path, 500) is None
    for change in (packed, elsewhere("soft"), elsewhere("external"), elsewhere("storage")):
        with h5py.File(path, "r+") as file:
            file["row"] = np.zeros(4)
            change(file)
            del file["row"]
        refused(lambda: read_array(path), path)


@pytest.mark.parametrize(("begin", "end"), [(512, -1), (512, 600), (600, 700), (513, 513)])
def test_a_seal_leaves_out_only_what_the_schema_says(judged_run, tmp_path, begin, end):
    for source, schema in ((judged_run.pixels, PIXELS), (judged_run.index, INDEX)):
        path = tmp_path / source.name
        path.write_bytes(source.read_bytes())
        read_artifact(path, schema)
        last = path.stat().st_size if end < 0 else end
        with path.open("r+b") as stream:
            stream.write(_head(path, begin, last))
        said = refused(lambda path=path, schema=schema: read_artifact(path, schema), path)
        assert "leaves out what it must not" in said


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
