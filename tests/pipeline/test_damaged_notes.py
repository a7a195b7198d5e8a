"""What a run noted of its contents, or what it made, is damaged: the times decide."""

import json
import os
from pathlib import Path

import h5py
import pytest

from mprd.artifacts.files import file_digest
from mprd.pipeline.freshness import JobFiles
from tests.pipeline.small_run import NEWEST, OLDEST, below, fresh, make, unsettled


@pytest.fixture
def noted(tmp_path):
    run = make(tmp_path / "run")
    fresh(run).note()
    return run


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[]", "null", '{"jobs": 3, "files": {}}', '{"jobs": {}}', "\0\xff"]
)
def test_a_damaged_note_leaves_it_to_the_times(noted, text):
    path = noted / "provenance/contents.json"
    path.write_bytes(text.encode("latin-1"))
    assert unsettled(noted) == set()
    os.utime(noted / "1/features", (NEWEST, NEWEST))
    assert unsettled(noted) == below(("train", "001"))
    os.utime(noted / "1/features", (2 * 10**9 + 5,) * 2)
    fresh(noted).note()
    assert set(json.loads(path.read_text())) == {"jobs", "files", "removed"}, "new"


def test_a_missing_note_leaves_it_to_the_times(noted):
    (noted / "provenance/contents.json").unlink()
    assert unsettled(noted) == set()
    os.utime(noted / "1/features", (NEWEST, NEWEST))
    assert unsettled(noted) == below(("train", "001"))


def write_tensors(path: Path, text: str) -> None:
    header = f'{{"__metadata__": {{"digest": "{text}"}}}}'.encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"numbers")


def write_arrays(path: Path, text: str) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["digest"] = text


@pytest.mark.parametrize(
    ("name", "write"), [("a.h5", write_arrays), ("a.safetensors", write_tensors)]
)
@pytest.mark.parametrize("damage", [b"", b"garbage, and more of it", b"\xff" * 40])
def test_a_damaged_file_has_another_content(tmp_path, name, write, damage):
    source, made, last = tmp_path / "source", tmp_path / name, tmp_path / "last"
    for path in (source, made, last):
        path.write_text("x")
    jobs = {
        ("a",): JobFiles((source,), (made,)),
        ("b",): JobFiles((made,), (last,), None, (("a",),)),
    }
    write(made, "one")
    for number, path in enumerate((source, made, last)):
        os.utime(path, (2 * 10**9 + number,) * 2)
    fresh(tmp_path, jobs, file_digest).note()
    os.utime(made, (NEWEST, NEWEST))
    assert fresh(tmp_path, jobs, file_digest).settled == {("a",), ("b",)}
    made.write_bytes(damage)
    os.utime(made, (NEWEST, NEWEST))
    assert fresh(tmp_path, jobs, file_digest).settled == {("a",)}
    os.utime(made, (OLDEST, OLDEST))
    assert fresh(tmp_path, jobs, file_digest).settled == set()
