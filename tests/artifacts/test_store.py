import os

import h5py
import numpy as np
import pytest
from scipy.sparse import csr_array

from mprd.artifacts import (
    CLUSTERS,
    FEATURES,
    GRAPH,
    INDEX,
    SCHEMAS,
    atomic,
    content_digest,
    open_artifact,
    read_artifact,
    read_json,
    write_artifact,
    write_json,
)
from mprd.clustering.graph_matrix import graph_distance
from mprd.errors import UserError
from tests.artifacts.edit import edit, put

UNIT = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]


def write_features(path, features=None, **kwargs):
    if features is None:
        features = UNIT
    arrays = {"features": features, "row": np.arange(len(features))}
    options = {"config": {"a": 1}, "inputs": {"model": "abc"}, "attributes": {"splits": "train"}}
    write_artifact(path, FEATURES, arrays, **{**options, **kwargs})
    return path


def graph_arrays(**changes):
    arrays = {
        "neighbors": np.array([[0, 1], [1, 0]], np.int32),
        "similarities": np.array([[1, 0.5], [1, 0.5]], np.float32),
        "indptr": np.array([0, 1, 2]),
        "indices": np.array([0, 1], np.int32),
        "data": np.zeros(2, np.float32),
    }
    return arrays | changes


def write_graph(path, **changes):
    write_artifact(
        path,
        GRAPH,
        graph_arrays(**changes),
        config={},
        inputs={},
        attributes={"eps_max": 0.7, "cameras": "none", "recall": 1.0},
    )
    return path


def test_round_trip(tmp_path):
    path = write_features(tmp_path / "f.h5", seed=7)
    artifact = read_artifact(path, FEATURES)
    assert np.array_equal(artifact["features"], UNIT)
    assert artifact.inputs == {"model": "abc"}
    assert artifact.attributes == {"splits": "train"}
    with h5py.File(path) as file:
        assert file.attrs["seed"] == 7
        assert file.attrs["schema_version"] == 1
        assert "L2-normalised" in file["features"].attrs["description"]
        assert file.attrs["created"].startswith("20")


def test_a_graph_is_compared_with_its_mirror_only_when_it_is_written(tmp_path, monkeypatch):
    path, turned = tmp_path / "graph.h5", []
    transpose = csr_array.transpose
    monkeypatch.setattr(csr_array, "transpose", lambda m, *a, **k: turned.append(m) or transpose(m))
    write_graph(path)
    assert len(turned) == 1
    assert graph_distance(read_artifact(path, GRAPH)).toarray().tolist() == [[0, 0], [0, 0]]
    assert len(turned) == 1
    rows = {"indptr": np.array([0, 2, 3]), "indices": np.array([0, 1, 1], np.int32)}
    with pytest.raises(ValueError, match="the pairs are not symmetric"):
        write_graph(path, **rows, data=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="no rows of ascending columns"):
        write_graph(path, indptr=np.array([0, 2, 2]), indices=np.array([1, 0], np.int32))


def test_strings_round_trip(tmp_path):
    path = tmp_path / "index.h5"
    write_index(path, ["a/ä.jpg", "b.jpg"])
    assert read_artifact(path, INDEX)["path"].tolist() == ["a/ä.jpg", "b.jpg"]


def write_index(path, names):
    n = len(names)
    attributes = dict.fromkeys(INDEX.attributes, 0) | {"dataset": "x", "root": "/r"}
    arrays = {
        "path": np.array(names, dtype=object),
        "split": np.zeros(n, np.uint8),
        "identity": np.zeros(n, np.int32),
        "camera": np.zeros(n, np.int16),
        "time": np.full(n, np.nan),
        "track": np.full(n, -1, np.int32),
        "width": np.ones(n, np.int32),
        "height": np.ones(n, np.int32),
        "sha256": np.array(["0"] * n, dtype=object),
        "identity_names": np.array([], dtype=object),
        "track_names": np.array([], dtype=object),
    }
    write_artifact(path, INDEX, arrays, config={}, inputs={}, attributes=attributes)


def test_digest_depends_on_content_alone(tmp_path):
    one = read_artifact(write_features(tmp_path / "1.h5"), FEATURES).digest
    two = read_artifact(write_features(tmp_path / "2.h5", config={"b": 2}), FEATURES).digest
    changed = UNIT[::-1]
    three = read_artifact(write_features(tmp_path / "3.h5", changed), FEATURES).digest
    assert one == two != three
    write_index(tmp_path / "a.h5", ["ab", "c"])
    write_index(tmp_path / "b.h5", ["a", "bc"])
    digests = {read_artifact(tmp_path / f"{n}.h5", INDEX).digest for n in "ab"}
    assert len(digests) == 2


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=lambda s: s.name)
def test_every_schema_is_described(schema):
    assert schema.description
    assert schema.command
    assert all(array.description for array in schema.arrays.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.attrs.__delitem__("schema"), "holds no mprd artifact, expected mprd.graph"),
        (lambda f: f.attrs.__setitem__("schema", "mprd.features"), "holds mprd.features"),
        (lambda f: f.attrs.__setitem__("schema_version", 99), "version 99, this mprd reads 4"),
        (lambda f: f.attrs.__delitem__("eps_max"), "lacks the attribute eps_max"),
        (lambda f: f.__delitem__("data"), "data is missing"),
        (put("data", np.zeros(2)), "data is float64, expected float32"),
        (put("data", np.zeros(3, np.float32)), "data has shape"),
        (put("data", np.array([0, np.nan], np.float32)), "data holds NaN"),
        (put("data", np.array([0, 1.5], np.float32)), "data holds 1.5, above 1"),
        (put("neighbors", np.array([[0, 1], [1, 2]], np.int32)), "neighbors holds 2, above 1"),
        (put("neighbors", np.array([[0, 1], [-1, 0]], np.int32)), "holds -1, below 0"),
    ],
)
def test_damaged_files_are_refused_with_file_key_and_remedy(tmp_path, change, message):
    path = write_graph(tmp_path / "graph.h5")
    edit(path, change)
    with pytest.raises(UserError, match=message) as caught:
        read_artifact(path, GRAPH)
    assert "graph.h5" in str(caught.value)
    assert "`mprd graph`" in str(caught.value)


def test_missing_cut_and_foreign_files(tmp_path):
    with pytest.raises(UserError, match=r"does not exist. Make it with `mprd graph`"):
        read_artifact(tmp_path / "none.h5", GRAPH)
    path = write_graph(tmp_path / "graph.h5")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(UserError, match="is damaged: it is not what was written"):
        read_artifact(path, GRAPH)


def test_wrong_arrays_are_never_written(tmp_path):
    path = tmp_path / "graph.h5"
    with pytest.raises(ValueError, match="data holds NaN"):
        write_graph(path, data=np.array([0, np.nan], np.float32))
    assert list(tmp_path.glob("graph*")) == []
    assert not list(tmp_path.glob("*.partial"))


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = write_graph(tmp_path / "graph.h5")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="data holds"):
        write_graph(path, data=np.array([0, 2], np.float32))
    assert path.read_bytes() == before


def test_atomic_cleans_up_and_names_an_unwritable_folder(tmp_path):
    def fail():
        with atomic(tmp_path / "x") as temporary:
            temporary.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert [p.name for p in tmp_path.iterdir() if not p.name.endswith(".lock")] == []
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(UserError, match="Cannot write"), atomic(blocker / "x"):
        pass


def test_a_second_writer_waits_for_the_first(tmp_path, capfd):
    path = tmp_path / "x"
    with atomic(path) as temporary:
        temporary.write_text("first")
        child = os.fork()
        if child == 0:
            with atomic(path) as second:
                second.write_text("second")
            os._exit(0)
        import time

        time.sleep(0.5)
        assert not path.exists()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_text() == "second"
    assert "waiting for it to end" in capfd.readouterr().out


def test_open_artifact_digest_matches_contents(tmp_path):
    path = write_graph(tmp_path / "graph.h5")
    with open_artifact(path, GRAPH) as file:
        assert content_digest(file, GRAPH) == file.attrs["digest"]


def test_json(tmp_path):
    path = tmp_path / "m.json"
    write_json(path, {"schema": "mprd.metrics", "a": float("nan"), "b": [1, float("inf")]})
    content = read_json(path, "mprd.metrics", "train")
    assert content["a"] is None
    assert content["b"] == [1, None]
    with pytest.raises(UserError, match=r"not a mprd.evaluation file"):
        read_json(path, "mprd.evaluation", "evaluate")
    path.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        read_json(path, "mprd.metrics", "train")


def test_clusters_schema_refuses_empty_clusters(tmp_path):
    attributes = dict.fromkeys(CLUSTERS.attributes, 0.0)
    arrays = {
        "labels": np.array([0, 0], np.int32),
        "sizes": np.array([2, 0], np.int32),
        "number": np.array([0, 1], np.int32),
        "membership": np.zeros(2, np.float32),
    }
    with pytest.raises(ValueError, match="sizes holds 0, below 1"):
        write_artifact(
            tmp_path / "c.h5", CLUSTERS, arrays, config={}, inputs={}, attributes=attributes
        )


def test_large_data_sets_are_views_of_their_file(tmp_path, monkeypatch):
    """The same values; what a caller writes stays its own, and a file made again is another."""
    path = write_graph(tmp_path / "graph.h5")
    read = read_artifact(path, GRAPH)
    monkeypatch.setattr("mprd.artifacts.rows.MAPPED_BYTES", 1)
    mapped = read_artifact(path, GRAPH)
    for key, values in read.arrays.items():
        assert isinstance(mapped[key].base, np.memmap), key
        np.testing.assert_array_equal(mapped[key], values)
        assert mapped[key].dtype == values.dtype
    before = path.read_bytes()
    mapped["data"][:] = 0.25
    assert path.read_bytes() == before
    write_graph(path)
    assert (mapped["data"] == 0.25).all()
    np.testing.assert_array_equal(mapped["indices"], read["indices"])


def test_half_precision_is_read_as_float32(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 16)).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    sizes = []
    for dtype in ("float32", "float16"):
        path = tmp_path / f"{dtype}.h5"
        arrays = {"features": values.astype(dtype), "row": np.arange(50)}
        write_artifact(path, FEATURES, arrays, config={}, inputs={}, attributes={"splits": "train"})
        found = read_artifact(path, FEATURES)["features"]
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, values.astype(dtype).astype(np.float32))
        with h5py.File(path) as file:
            sizes.append(file["features"].id.get_storage_size())
    assert sizes[0] == 2 * sizes[1]
    with pytest.raises(ValueError, match="features is float64, expected float32"):
        write_artifact(
            tmp_path / "x.h5", FEATURES, {"features": values.astype(float), "row": np.arange(50)},
            config={}, inputs={}, attributes={"splits": "train"},
        )  # fmt: skip
