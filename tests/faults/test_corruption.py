"""Damaged files: every reader gives what was written, or one sentence with file and remedy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mprd.artifacts import SCHEMAS, read_artifact, read_images, read_json, write_artifact
from mprd.artifacts.tensors import read_safetensors, read_state
from mprd.data.added import Added, nobody
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout
from tests.artifacts.edit import edit, put

STREAMED = "mprd.pixels"
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def read(path: Path) -> Any:
    """Return all that a reader gives of a file of a run."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            schema = SCHEMAS[file.attrs["schema"]]
        return read_as(path, schema)
    if path.suffix == ".safetensors":
        return read_safetensors(path, ("mprd.model", "mprd.gcn"), "train")
    if path.suffix == ".pt":
        return read_state(path)
    return read_json(path, json.loads(path.read_text())["schema"], "train")


def read_as(path: Path, schema) -> tuple:
    artifact = read_artifact(path, schema)
    contents = [artifact.arrays, artifact.attributes, artifact.digest, artifact.inputs]
    if schema.name == STREAMED:
        with h5py.File(path) as file:
            contents.append(read_images(file, np.arange(len(file["pixels"]))))
    return tuple(contents)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        nan = one.dtype.kind == "f"
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=nan)
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    return one == other or one != one


@pytest.fixture(scope="module")
def files(judged_run, tmp_path_factory) -> dict[str, Path]:
    """One file of each kind that a run leaves."""
    added = RunLayout(tmp_path_factory.mktemp("added"))
    two = {
        key: np.ones((2, *values.shape[1:]), values.dtype)
        for key, values in nobody().arrays.items()
    }
    words = ("path", "sha256", "camera", "side", "name")
    two |= {key: np.array(["a", "b"], object) for key in words}
    two |= {"features": np.eye(2, 3, dtype=np.float32), "indptr": np.array([0, 1, 2])}
    Added(two, 4, 5).write(added, {"index": "0" * 64})
    run, last = judged_run, judged_run.epoch(2)
    found = {
        "index": run.index,
        "pixels": run.pixels,
        "features": last.features,
        "graph": last.graph,
        "clusters": last.clusters,
        "transitions": last.transitions,
        "ranks": last.ranks,
        "judgements": last.judgements,
        "metadata": run.metadata,
        "relations": last.relations,
        "collected": last.collected,
        "rankings": run.rankings("002"),
        "added": added.final.added,
        "model": last.model,
        "gcn": last.gcn,
        "state": last.state,
        "metrics": last.metrics,
        "gcn_metrics": last.gcn_metrics,
        "evaluation": run.evaluation("002"),
    }
    for path in found.values():
        assert path.is_file()
    kinds = {h5py.File(path).attrs["schema"] for path in found.values() if path.suffix == ".h5"}
    assert kinds == set(SCHEMAS) - {"mprd.gallery"}, "a new artifact belongs here"
    return found


KINDS = ("index", "pixels", "features", "graph", "clusters", "transitions", "ranks")
KINDS += ("judgements", "metadata")
KINDS += ("relations", "collected", "rankings", "added", "model", "gcn", "state", "metrics")
KINDS += ("gcn_metrics", "evaluation")


def holds(path: Path, reader: Callable[[Path], Any], wanted: Any) -> None:
    """What was written comes back, or a sentence."""
    said = ""
    try:
        found = reader(path)
    except UserError as error:
        said = str(error)
    if said:
        assert str(path) in said
        assert "`mprd " in said or "Remove the file" in said
        return
    assert same(found, wanted), "other contents than were written, and nobody noticed"


def reader_of(path: Path) -> Callable[[Path], Any]:
    """Return the reader of the kind of file that `path` is now, for copies that are damaged."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            schema = SCHEMAS[file.attrs["schema"]]
        return lambda damaged: read_as(damaged, schema)
    if path.suffix == ".json":
        name = json.loads(path.read_text())["schema"]
        return lambda damaged: read_json(damaged, name, "train")
    return read


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(data=st.data())
def test_changed_bytes(files, kind, tmp_path, data):
    path = files[kind]
    whole, reader = bytearray(path.read_bytes()), reader_of(path)
    damaged = tmp_path / path.name
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    damaged.write_bytes(whole)
    holds(damaged, reader, reader(path))


@pytest.mark.parametrize("kind", KINDS)
def test_cut_short(files, kind, tmp_path):
    path = files[kind]
    whole, reader = path.read_bytes(), reader_of(path)
    damaged = tmp_path / path.name
    for share in (0, 0.01, 0.3, 0.5, 0.9, 0.999):
        damaged.write_bytes(whole[: int(share * len(whole))])
        holds(damaged, reader, reader(path))
    damaged.write_bytes(whole[:-1])
    holds(damaged, reader, reader(path))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("model", "gcn", "state")])
def test_another_version(files, kind, tmp_path):
    path = tmp_path / files[kind].name
    path.write_bytes(files[kind].read_bytes())
    if path.suffix == ".h5":
        reader = reader_of(path)
        edit(path, lambda file: file.attrs.__setitem__("schema_version", 99))
        with pytest.raises(UserError, match="version 99, this mprd reads"):
            reader(path)
    else:
        path.write_text(path.read_text().replace('"mprd.', '"mprd.old.'))
        with pytest.raises(UserError, match="is not a mprd"):
            read_json(path, json.loads(files[kind].read_text())["schema"], "train")


def test_a_graph_that_is_not_symmetric_is_not_written(files, tmp_path):
    path, schema = tmp_path / "graph.h5", SCHEMAS["mprd.graph"]
    graph = read_artifact(files["graph"], schema)
    arrays, given = dict(graph.arrays), {"config": {}, "attributes": graph.attributes}
    arrays["data"] = arrays["data"].copy()
    arrays["data"][np.flatnonzero(arrays["data"] > 0)[0]] /= 2
    with pytest.raises(ValueError, match="the pairs are not symmetric"):
        write_artifact(path, schema, arrays, inputs={}, **given)
    arrays["indices"] = arrays["indices"][::-1].copy()
    with pytest.raises(ValueError, match="no rows of ascending columns"):
        write_artifact(path, schema, arrays, inputs={}, **given)
    assert not path.exists()


def test_a_graph_of_crossed_rows_is_not_read(files, tmp_path):
    from mprd.clustering.graph_matrix import graph_distance

    path = tmp_path / "graph.h5"
    graph = read_as(files["graph"], SCHEMAS["mprd.graph"])[0]
    for change, message in (
        (put("indices", graph["indices"][::-1].copy()), "no rows of ascending columns"),
        (put("indptr", graph["indptr"][::-1].copy()), "no rows of ascending columns"),
    ):
        path.write_bytes(files["graph"].read_bytes())
        edit(path, change)
        with pytest.raises(UserError, match=message):
            graph_distance(read_artifact(path, SCHEMAS["mprd.graph"]))


@pytest.mark.parametrize(
    ("kind", "key", "change", "message"),
    [
        ("features", "features", lambda v: v * 2, "not of length 1"),
        ("features", "features", lambda v: v * np.nan, "NaN or infinite"),
        ("features", "features", lambda v: v.astype(np.float64), "is float64, expected float32"),
        ("features", "features", lambda v: v[:, :, None], "has shape"),
        ("features", "row", lambda v: v - 1, "holds -1, below 0"),
        ("clusters", "labels", lambda v: v + 99, "above"),
        ("clusters", "labels", lambda v: v - 2, "below -1"),
        ("clusters", "membership", lambda v: v * np.inf, "NaN or infinite"),
        ("graph", "neighbors", lambda v: v + 54, "above 53"),
        ("index", "split", lambda v: v + 3, "above 2"),
        ("relations", "now", lambda v: v[:-1], "has shape"),
    ],
)
def test_values_that_no_stage_writes(files, kind, key, change, message, tmp_path):
    path = tmp_path / files[kind].name
    path.write_bytes(files[kind].read_bytes())
    reader = reader_of(path)
    with h5py.File(path) as file:
        values = change(file[key][:])
    edit(path, put(key, values))
    with pytest.raises(UserError, match=message) as caught:
        reader(path)
    assert key in str(caught.value)


def test_a_header_that_promises_too_much(files, tmp_path):
    """Nothing is allocated for values that are not there, nor are other files read."""
    path = tmp_path / "features.h5"

    def huge(file):
        del file["features"]
        file.create_dataset("features", (10**9, 10**6), "float32")

    def bomb(file):
        del file["features"]
        file.create_dataset("features", data=np.zeros((10**4, 10**3), "f4"), compression="gzip")

    def elsewhere(file):
        del file["features"]
        file["features"] = h5py.ExternalLink(str(files["features"]), "features")

    def virtual(file):
        del file["features"]
        layout = h5py.VirtualLayout((54, 192), "float32")
        layout[:] = h5py.VirtualSource(str(files["features"]), "features", (54, 192))
        file.create_virtual_dataset("features", layout)

    for change, message in (
        (huge, "declares more values than the file holds"),
        (bomb, "is packed or in pieces"),
        (elsewhere, "is a link to somewhere else"),
        (virtual, "is not a plain data set"),
    ):
        path.write_bytes(files["features"].read_bytes())
        edit(path, change)
        with pytest.raises(UserError, match=message):
            read_artifact(path, SCHEMAS["mprd.features"])
