"""Images read from the file, a batch ahead, against those held in memory."""

import threading

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mprd.data import pixels as module
from mprd.data.pixels import PixelStore
from mprd.data.read_ahead import ReadAhead
from mprd.errors import UserError
from mprd.stages.pixels import run_pixels

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def path(judged_run):
    return judged_run.pixels


@pytest.fixture(scope="module")
def held(path):
    with h5py.File(path) as file:
        return file["pixels"][:]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(0, 80), max_size=20), max_size=6), st.data())
def test_batches_are_those_of_the_file(path, held, batches, data):
    """Whatever was begun before, and whether it is what is asked for."""
    reader = ReadAhead(path)
    for batch in batches:
        begun = data.draw(st.sampled_from([None, batch, [*batch, 1], [3]]))
        if begun is not None:
            reader.begin(np.array(begun, np.int64))
        rows = np.array(batch, np.int64)
        np.testing.assert_array_equal(reader.read(rows), held[rows])


def test_a_store_that_does_not_fit_reads_ahead(path, held, monkeypatch):
    monkeypatch.setattr(module, "held_pixels", lambda size: 0)
    store = PixelStore(path, np.arange(10, 40), CPU)
    readers = []
    fill = ReadAhead._fill

    def watched(self, images, rows, places):
        readers.append((threading.current_thread().name, rows[places].tolist()))
        fill(self, images, rows, places)

    monkeypatch.setattr(ReadAhead, "_fill", watched)
    store.ahead(torch.tensor([3, 1, 3]))
    for part in store._file._next[2]:
        part.result()
    begun = sorted(row for _, rows in readers for row in rows)
    assert begun == [11, 13, 13], "before anybody asks"
    np.testing.assert_array_equal(store.batch(torch.tensor([3, 1, 3])), held[[13, 11, 13]])
    assert len(readers) == 3, "and not again"
    assert threading.main_thread().name not in {name for name, _ in readers}


def test_held_images_are_not_read_ahead(path):
    store = PixelStore(path, np.arange(10), CPU)
    store.ahead(torch.tensor([1]))
    assert "_file" not in vars(store)


@pytest.mark.parametrize("cut", [False, True])
def test_damage_is_told_when_the_batch_is_used(path, tmp_path, cut):
    copy = tmp_path / "pixels.h5"
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        offset, size = file["pixels"].id.get_offset(), file["pixels"][0].nbytes
    copy.write_bytes(content)
    reader = ReadAhead(copy)
    with copy.open("r+b") as file:
        if cut:
            file.truncate(offset + 7 * size + 3)
        else:
            file.seek(offset + 7 * size + 5)
            file.write(bytes([content[offset + 7 * size + 5] ^ 1]))
    reader.begin(np.array([6, 7]))
    with pytest.raises(UserError, match=r"pixels of row 7 are damaged. Make it again with"):
        reader.read(np.array([6, 7]))
    assert reader.read(np.array([6])).shape[0] == 1


def test_the_file_that_was_opened_is_read_to_its_end(judged_run, held, tmp_path, tiny_config):
    """A run beside this one may make the file anew."""
    copy = tmp_path / "pixels.h5"
    copy.write_bytes(judged_run.pixels.read_bytes())
    reader = ReadAhead(copy)
    run_pixels(index=judged_run.index, out=copy, config=tiny_config)
    np.testing.assert_array_equal(reader.read(np.arange(5)), held[:5])
