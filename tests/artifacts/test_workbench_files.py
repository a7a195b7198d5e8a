"""Files that are written behind the next stage: their order, their readers, their failures."""

import fcntl
import os
import threading
from functools import partial

import numpy as np
import pytest
import torch

from mprd.artifacts import (
    FEATURES,
    GRAPH,
    read_artifact,
    read_json,
    store,
    workbench,
    write_artifact,
)
from mprd.artifacts.files import atomic, write_json
from mprd.artifacts.tensors import read_safetensors, read_state, save_tensors, write_state
from mprd.errors import UserError


def features(count=5, seed=0):
    rows = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return {"features": rows, "row": np.arange(count)}


def write(path, arrays=None):
    write_artifact(
        path,
        FEATURES,
        arrays or features(),
        config={"a": 1},
        inputs={"index": "b"},
        attributes={"splits": "train"},
    )


def save(path, weights):
    save_tensors(
        path, "mprd.model", weights, architecture={}, config={}, inputs={"a": "b"}, seed=None
    )


@pytest.fixture
def bench():
    with workbench.workbench(behind=True):
        yield


@pytest.fixture
def gate(monkeypatch):
    """Files are written when this is set, not before."""
    gate, replace = threading.Event(), os.replace

    def wait(*paths):
        assert gate.wait(20)
        replace(*paths)

    monkeypatch.setattr("mprd.artifacts.files.os.replace", wait)
    return gate


def same(one, other):
    assert one.arrays.keys() == other.arrays.keys()
    for key, values in one.arrays.items():
        np.testing.assert_array_equal(values, other[key])
        assert values.dtype == other[key].dtype
    assert one.attributes == other.attributes
    assert (one.digest, one.inputs, one.schema) == (other.digest, other.inputs, other.schema)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_reader_finds_what_will_be_in_the_file(tmp_path, gate, dtype):
    path = tmp_path / "features.h5"
    arrays = features()
    arrays["features"] = arrays["features"].astype(dtype)
    with workbench.workbench(behind=True):
        write(path, arrays)
        found = read_artifact(path, FEATURES)
        part = read_artifact(path, FEATURES, ("row",))
        assert not path.exists(), "nobody waited"
        gate.set()
    same(found, read_artifact(path, FEATURES))
    same(part, read_artifact(path, FEATURES, ("row",)))


def test_weights_and_states_come_from_memory(tmp_path, gate):
    model, state = tmp_path / "model.safetensors", tmp_path / "state.pt"
    weights = {"a": torch.randn(3, 2), "b": torch.arange(4)}
    moments = {"optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}, "epoch": 1}
    with workbench.workbench(behind=True):
        save(model, weights)
        write_state(state, moments)
        weights["a"].zero_()  # the next epoch trains
        moments["optimizer"]["state"][0]["exp_avg"].zero_()
        found = read_safetensors(model, "mprd.model", "init"), read_state(state)
        found[0][1]["b"].zero_()
        again = read_safetensors(model, "mprd.model", "init")
        assert not model.exists()
        gate.set()
    header, tensors = read_safetensors(model, "mprd.model", "init")
    assert again[0] == header
    assert all(torch.equal(again[1][key], tensors[key]) for key in ("a", "b"))
    assert tensors["a"].any()
    before, after = found[1]["optimizer"]["state"][0], read_state(state)["optimizer"]["state"][0]
    assert torch.equal(before["exp_avg"], after["exp_avg"])
    assert found[1].keys() == read_state(state).keys()


def test_weights_that_are_not_finite_are_not_written(tmp_path, bench):
    with pytest.raises(UserError, match="is not written: its a holds NaN"):
        save(tmp_path / "m.safetensors", {"a": torch.tensor([1.0, torch.nan])})
    with pytest.raises(UserError, match="does not exist"):
        read_safetensors(tmp_path / "m.safetensors", "mprd.model", "init")


def test_a_reader_that_takes_nothing_from_memory_waits(tmp_path, gate, bench):
    write_json(tmp_path / "a.json", {"schema": "mprd.a", "value": 1})
    threading.Timer(0.2, gate.set).start()
    assert read_json(tmp_path / "a.json", "mprd.a", "train")["value"] == 1


def test_a_reader_may_change_what_it_got(tmp_path, bench):
    path = tmp_path / "features.h5"
    write(path)
    for _ in range(2):  # from the writer, then from memory
        workbench.settle()
        read_artifact(path, FEATURES)["features"][:] = 0
        np.testing.assert_array_equal(
            read_artifact(path, FEATURES)["features"], features()["features"]
        )


def test_a_file_that_was_read_is_not_read_again_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "features.h5"
    write(path)
    with workbench.workbench(behind=True):
        first = read_artifact(path, FEATURES)
        first["row"][:] = 0
        with monkeypatch.context() as closed:
            closed.setattr("mprd.artifacts.store._opened", None)
            assert read_artifact(path, FEATURES)["row"].tolist() == [0, 1, 2, 3, 4]
        write(path, features(7))
        assert len(read_artifact(path, FEATURES)["row"]) == 7


def test_a_file_that_another_process_replaced_is_read(tmp_path, bench):
    path = tmp_path / "features.h5"
    write(path)
    workbench.settle()
    other = threading.Thread(target=write, args=(path, features(7)))  # has no workbench
    other.start()
    other.join()
    assert len(read_artifact(path, FEATURES)["row"]) == 7


def test_a_file_of_another_kind_is_refused(tmp_path, bench):
    write(tmp_path / "features.h5")
    with pytest.raises(UserError, match=r"holds mprd\.features, expected mprd.graph"):
        read_artifact(tmp_path / "features.h5", GRAPH)


def test_files_appear_in_their_order(tmp_path, gate, bench):
    for number in range(4):
        write_json(tmp_path / f"{number}.json", {"n": number})
    threading.Timer(0.2, gate.set).start()
    with atomic(tmp_path / "last.txt") as temporary:
        assert len(list(tmp_path.glob("*.json"))) == 4
        temporary.write_text("")
    assert sorted(tmp_path.glob("*.*"), key=lambda p: p.stat().st_mtime_ns)[-1].name == "last.txt"


def test_a_file_is_locked_until_it_is_written(tmp_path, gate, bench):
    write_json(tmp_path / "a.json", {})
    with (tmp_path / ".a.json.lock").open("a") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gate.set()
        workbench.settle()
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_is_behind_a_failed_file_is_not_written(tmp_path):
    (tmp_path / "b.json").mkdir()
    refused = pytest.raises(UserError, match=r"^Cannot write .*b.json: Is a directory")
    with refused, workbench.workbench(behind=True):
        for name in "abc":
            write_json(tmp_path / f"{name}.json", {})
    assert (tmp_path / "a.json").is_file()
    assert not (tmp_path / "c.json").exists()
    assert not list(tmp_path.glob(".*.partial"))
    with (tmp_path / ".c.json.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def stage(path, step):
    write(path)
    workbench._mine()._pool.submit(int).result()  # until the file has failed
    step()
    raise AssertionError("the stage went on")


@pytest.mark.parametrize("reads", [True, False])
def test_the_next_reader_or_writer_meets_the_error(tmp_path, reads):
    path = tmp_path / "features.h5"
    path.mkdir()
    step = partial(read_artifact, path, FEATURES) if reads else partial(write_json, path, {})
    with pytest.raises(UserError, match="Cannot write"), workbench.workbench(behind=True):
        stage(path, step)


def test_contents_that_do_not_fit_are_an_error_of_ours(tmp_path):
    """As without a workbench."""
    wrong = features() | {"row": np.array([-1, 0, 1, 2, 3])}
    with pytest.raises(ValueError, match="row holds -1"), workbench.workbench(behind=True):
        write(tmp_path / "features.h5", wrong)
    assert not list(tmp_path.glob("*.h5"))


def test_contents_that_change_meanwhile_are_an_error_of_ours(tmp_path, monkeypatch):
    arrays, gate, create = features(), threading.Event(), store.create_artifact

    def slow(path, *args, **options):
        assert gate.wait(20)
        return create(path, *args, **options)

    monkeypatch.setattr(store, "create_artifact", slow)
    changed = pytest.raises(ValueError, match="changed while they were being written")
    with changed, workbench.workbench(behind=True):
        write(tmp_path / "features.h5", arrays)
        arrays["row"][0] = 4
        gate.set()
    assert not (tmp_path / "features.h5").exists()


def test_an_error_of_a_stage_leaves_whole_files(tmp_path, gate):
    """And it is the one that is raised, also where a file cannot be written."""
    (tmp_path / "b.json").mkdir()
    threading.Timer(0.2, gate.set).start()

    def fails():
        write_json(tmp_path / "a.json", {})
        write_json(tmp_path / "b.json", {})
        raise KeyError("of a stage")

    with pytest.raises(KeyError, match="of a stage"), workbench.workbench(behind=True):
        fails()
    assert (tmp_path / "a.json").is_file()


def test_contents_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(workbench, "HELD_BYTES", 2 * 5 * 20 + 10)
    with workbench.workbench(behind=True):
        write(tmp_path / "large.h5", features(50))
        assert (tmp_path / "large.h5").is_file(), "too large to be held: written at once"
        assert workbench.resident() == 0
        for name in "abc":
            write(tmp_path / f"{name}.h5")
        assert workbench.resident() == 2 * 5 * 20
        assert (tmp_path / "a.h5").is_file(), "it made room"
        assert len(read_artifact(tmp_path / "a.h5", FEATURES)["row"]) == 5


def test_what_is_kept_is_made_once_a_version(bench):
    made = []

    def make(value):
        return lambda: made.append(value) or value

    for version, value in (("a", 1), ("a", 2), ("b", 3), ("b", 4)):
        workbench.keep("images", version, make(value), lambda kept: 100 * kept)
    workbench.keep("network", "a", make(9))
    assert made == [1, 3, 9]
    assert workbench.resident() == 300
    workbench.give_way()
    assert workbench.resident() == 0
    assert workbench.keep("network", "a", make(10)) == 9, "it takes no memory to speak of"
    assert workbench.keep("images", "b", make(5)) == 5


def test_without_a_workbench_nothing_is_kept(tmp_path):
    assert workbench.keep("a", "b", lambda: 1) == 1
    assert workbench.keep("a", "b", lambda: 2) == 2
    write(tmp_path / "features.h5")
    assert (tmp_path / "features.h5").is_file()
    assert workbench.recall(tmp_path / "features.h5") is None
    assert workbench.resident() == 0


def test_a_workbench_inside_another_one_is_the_same(tmp_path, gate):
    with workbench.workbench(behind=True):
        with workbench.workbench(behind=False):
            write_json(tmp_path / "a.json", {})
        assert not (tmp_path / "a.json").exists()
        gate.set()
    assert (tmp_path / "a.json").is_file()
