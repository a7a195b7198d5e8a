"""Manifests as other programs write them: the obvious reading with a note, or a sentence."""

import time

import psutil
import pytest
from PIL import Image

from mprd.data.datasets.manifest import read_manifest
from mprd.errors import UserError


@pytest.fixture
def images(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png", "Ä.png"):
        Image.new("RGB", (4, 8)).save(tmp_path / name)
    return tmp_path


def written(folder, text, encoding="utf-8"):
    path = folder / "m.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_back_slashes(images):
    listing = read_manifest(written(images, "path\na.png\nsub\\b.png\n"))
    assert [record.path for record in listing.records] == ["a.png", "sub/b.png"]
    assert listing.notes == ("1 path with \\: read with /.",)


def test_a_drive_of_windows(images):
    with pytest.raises(UserError, match=r"no image 'C:/x/a\.png' .* names a drive of Windows"):
        read_manifest(written(images, "path\nC:\\x\\a.png\n"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_say_what_they_are(images, encoding):
    listing = read_manifest(written(images, "path,camera\nÄ.png,gate\n", encoding))
    assert listing.records[0].path == "Ä.png"
    assert listing.camera_names == ("gate",)


def test_another_encoding(images):
    with pytest.raises(UserError, match=r"is not UTF-8 \(byte \d+ is not\)\. Save it as UTF-8"):
        read_manifest(written(images, "path\nÄ.png\n", "latin-1"))


def test_cells_that_say_nothing(images):
    text = "path,identity,camera\na.png,nan,NA\nsub/b.png,7,1\nÄ.png,N/A,null\n"
    listing = read_manifest(written(images, text))
    assert [(r.identity, r.camera) for r in listing.records] == [(-1, -1), (7, 0), (-1, -1)]
    assert set(listing.notes) == {
        "2 cells 'nan' of identity are taken as unknown.",
        "2 cells 'NA' of camera are taken as unknown.",
    }


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", ".."])
def test_names_that_no_image_has(images, name):
    with pytest.raises(UserError):
        read_manifest(written(images, f"path\n{name}\n"))


WIDE = {
    "20,000 columns": "path," + ",".join(f"c{n}" for n in range(20_000)) + "\na.png\n",
    "a million columns": "path" + ",c" * 10**6 + "\na.png\n",
    "a million columns and no name": "," * 10**6 + "\na.png\n",
    "long names": "path," + ",".join("x" * 1000 + str(n) for n in range(2000)) + "\na.png\n",
    "names of several lines": "path," + ",".join(f'"x\n{n}"' for n in range(100_000)) + "\n",
    "lines that end like on an old Mac": "path," + ",c" * 20_000 + "\ra.png\r",
    "a row of a million cells": "path\na.png" + "," * 10**6 + "\n",
    "a later row of a million cells": "path\na.png\n" + "," * 10**6 + "\n",
    "no header at all": "\0" * 10**7,
    "a quote that nothing closes": 'path\n"' + "x\n" * 10**6,
    "101 columns": "path" + ",x" * 100 + "\na.png\n",
    "an empty line for a header": "\npath\na.png\n",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("text", WIDE.values(), ids=WIDE)
def test_wide_manifests_are_refused_at_once(images, text, encoding):
    path = written(images, text, encoding)
    begin, before = time.perf_counter(), psutil.Process().memory_info().rss
    with pytest.raises(UserError, match=r"m\.csv cannot be read: ") as refused:
        read_manifest(path)
    assert time.perf_counter() - begin < 2
    assert psutil.Process().memory_info().rss - before < 2**27
    assert len(str(refused.value)) < 500


def test_a_parquet_file_of_many_columns(images):
    """Its last bytes are the length of what describes the columns: 59 MB for 300,000 of them."""
    path = images / "m.parquet"
    path.write_bytes(b"PAR1" + (59_256_063).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(UserError, match="describes its columns in 59,256,063 bytes"):
        read_manifest(path)
