"""Artifacts that somebody made to do harm, with right checksums: a sentence in little memory."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from mprd.artifacts import CLUSTERS, FEATURES, INDEX, PIXELS, read_artifact
from mprd.artifacts.checksums import _head, seal
from mprd.artifacts.files import file_digest
from mprd.data.index import camera_names, name_identities
from mprd.decisions.entry import Decision, Kind
from mprd.decisions.reading import unapplied
from mprd.errors import UserError
from mprd.inference.embedder import load_model
from mprd.inference.feature_files import image_names, read_array
from mprd.models.weights_file import is_ours, read_weights
from mprd.report.inspect.describe import describe
from tests.artifacts.edit import edit, put
from tests.faults.limits import bounded, refused

MANY = 200_000


def replace(key: str, **options) -> Callable[[h5py.File], None]:
    """Return a change that writes a data set in another way."""

    def change(file: h5py.File) -> None:
        values = file[key][:]
        del file[key]
        file.create_dataset(key, data=values, **options)

    return change


def packed(file: h5py.File) -> None:
    """One chunk of a gigabyte that takes a megabyte."""
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


@pytest.mark.parametrize("names", ["[", "3", "{}", '["a"]', "[1, 2, 3, 4, 5, 6]", "[" * 5000])
def test_cameras_without_names(judged_run, tmp_path, names):
    path = tmp_path / "index.h5"
    path.write_bytes(judged_run.index.read_bytes())
    edit(path, lambda file: file.attrs.__setitem__("camera_names", names))
    with pytest.raises(UserError, match="does not name its"):
        camera_names(read_artifact(path, INDEX))
    with pytest.raises(UserError, match=r"does not name its|is damaged"):
        describe(path)


def test_identities_without_names(judged_run, tmp_path):
    path = tmp_path / "index.h5"
    path.write_bytes(judged_run.index.read_bytes())
    edit(path, put("identity_names", np.array(["a"], object)))
    index = read_artifact(path, INDEX)
    with pytest.raises(UserError, match="does not name its"):
        name_identities(index, np.arange(len(index["path"])))


@pytest.mark.parametrize("name", [name for name in CLUSTERS.attributes if name != "relation"])
def test_figures_are_numbers(judged_run, tmp_path, name):
    path = tmp_path / "clusters.h5"
    path.write_bytes(judged_run.final.clusters.read_bytes())
    edit(path, lambda file: file.attrs.__setitem__(name, "many"))
    refused(lambda: read_artifact(path, CLUSTERS), path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("created", "yesterday"),
        ("created", 5),
        ("created", "9999-12-31T23:59:59-23:59"),
        ("num_outliers", np.nan),
        ("num_outliers", np.inf),
    ],
)
def test_attributes_that_mean_nothing(judged_run, tmp_path, name, value):
    path = tmp_path / "clusters.h5"
    path.write_bytes(judged_run.final.clusters.read_bytes())
    edit(path, lambda file: file.attrs.create(name, value))
    refused(lambda: read_artifact(path, CLUSTERS, ("labels",)), path)
    refused(lambda: unapplied([Decision(Kind.UNSURE, time="x")], path), path)


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


def test_a_file_of_another_stage_is_told_as_such(judged_run):
    """Its checksum leaves out other bytes, but nothing in it is damaged."""
    for given, wanted in ((judged_run.pixels, INDEX), (judged_run.index, PIXELS)):
        said = refused(lambda given=given, wanted=wanted: read_artifact(given, wanted), given)
        assert f"expected {wanted.name}. Give the file that" in said


@pytest.mark.parametrize("read", [load_model, read_weights, read_array, is_ours])
def test_a_header_that_no_network_has(judged_run, tmp_path, read):
    """200,000 tensors took ten seconds and a quarter of a gigabyte to refuse."""
    path = tmp_path / "many.safetensors"
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"t{number}": empty for number in range(MANY)}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    if read is is_ours:
        assert not read(path)
        return
    assert "header has 13 MiB, more than that of any network" in refused(lambda: read(path), path)
