"""Readers of the user's own, and what docs/howto/ says of data sets."""

import csv
import re
import shutil
from pathlib import Path

import pytest

from mprd.data.datasets import ImageRecord, canonical_name, load_reader, names, read_dataset
from mprd.data.datasets.registry import READERS
from mprd.errors import UserError
from tests.data.planted import plant

HOWTO = Path(__file__).parents[2] / "docs/howto"
DOCS, PUBLIC = HOWTO / "own-images.md", HOWTO / "public-data.md"
HEAD = "from mprd.data.datasets import ImageRecord, Listing, register\n"


pytestmark = pytest.mark.usefixtures("no_plugins")


def snippet(word: str) -> str:
    """Return the one Python block of the docs that holds the word."""
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    (block,) = [block for block in blocks if word in block]
    return block


def plugin(folder: Path, body: str, name: str = "my_reader.py") -> Path:
    (folder / name).write_text(HEAD + body)
    return folder / name


def test_reader_of_the_docs(tmp_path: Path) -> None:
    path = tmp_path / "my_reader.py"
    path.write_text(snippet("register"))
    assert len(path.read_text().splitlines()) <= 20
    root = plant(
        tmp_path / "images",
        "train/bob_c1_0001.png",
        "query/alice_c2_0001.png",
        "gallery/alice_c1_0007.png",
    )
    load_reader(path)
    listing = read_dataset("Office", root)
    assert listing.root == root
    assert listing.records == (
        ImageRecord("train/bob_c1_0001.png", "train", 1, 0),
        ImageRecord("query/alice_c2_0001.png", "query", 0, 1),
        ImageRecord("gallery/alice_c1_0007.png", "gallery", 0, 0),
    )


def test_aliases_folders_and_layouts_of_a_reader(tmp_path: Path) -> None:
    load_reader(
        plugin(
            tmp_path,
            "@register('Shop-1', aliases=('my shop',), folders=('Shop',), layouts=(('all',),))\n"
            "def read(root):\n"
            "    return Listing(root, (ImageRecord('all/a.png', 'train'),), ('a line',))\n",
        )
    )
    assert "Shop-1" in names()
    assert canonical_name("MYSHOP") == "Shop-1"
    with pytest.raises(UserError, match="'Shop-1' was not found"):
        read_dataset("shop1", tmp_path)
    root = plant(tmp_path / "Shop", "all/a.png")
    listing = read_dataset("shop1", tmp_path)
    assert (listing.root, listing.notes[0]) == (root, "a line")


def test_loading_again_replaces(tmp_path: Path) -> None:
    load_reader(plugin(tmp_path, "@register('first')\ndef read(root):\n    return []\n"))
    load_reader(plugin(tmp_path, "@register('the second')\ndef read(root):\n    return []\n"))
    assert "the second" in names()
    assert "first" not in names()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = 1\n", "registers no data set"),
        ("def broken(:\n", "fails on import: SyntaxError"),
        ("import no_such_module\n", "fails on import: ModuleNotFoundError: .*no_such_module"),
        (
            "@register('mine', aliases=('Market_1501',))\ndef read(root):\n    return []\n",
            r"my_reader.py, line 2: the data set name 'Market_1501' belongs to mprd already",
        ),
    ],
)
def test_reader_files_that_cannot_be_loaded(body: str, message: str, tmp_path: Path) -> None:
    before = names()
    with pytest.raises(UserError, match=message):
        load_reader(plugin(tmp_path, body))
    assert names() == before


def test_a_failed_reload_keeps_the_old_reader(tmp_path: Path) -> None:
    load_reader(plugin(tmp_path, "@register('first')\ndef read(root):\n    return []\n"))
    with pytest.raises(UserError, match="fails on import: ZeroDivisionError"):
        load_reader(
            plugin(tmp_path, "@register('second')\ndef read(root):\n    return []\n1 / 0\n")
        )
    assert "first" in names()
    assert "second" not in names()


@pytest.mark.parametrize("name", ["missing.py", "reader.txt", "."])
def test_reader_files_that_are_none(name: str, tmp_path: Path) -> None:
    plant(tmp_path, "reader.txt")
    with pytest.raises(UserError, match=r"is not there or is no \.py file"):
        load_reader(tmp_path / name)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("[]", "holds no images"),
        ("[('a.jpg', 'train')]", r"gave \('a.jpg', 'train'\): it must give ImageRecord"),
        ("[ImageRecord(root / 'a.jpg', 'train')]", "whose path is a str"),
        ("[ImageRecord('a.jpg', 'test')]", "split must be one of train, query, gallery"),
        ("[ImageRecord('a.jpg', 'train', -2)]", r"must be -1 \(unknown\) or more"),
        ("[ImageRecord('a.jpg', 'train', 0, -2)]", r"must be -1 \(unknown\) or more"),
    ],
)
def test_what_a_reader_gives_is_checked(result: str, message: str, tmp_path: Path) -> None:
    load_reader(plugin(tmp_path, f"@register('mine')\ndef read(root):\n    return {result}\n"))
    with pytest.raises(UserError, match=message):
        read_dataset("mine", tmp_path)


def test_cuhk03_manifest_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(
        tmp_path / "cuhk03-np" / "detected",
        "bounding_box_train/0003_c2_21.png",
        "query/0001_c1_1.png",
        "bounding_box_test/0001_c2_6.png",
    )
    monkeypatch.chdir(tmp_path)
    exec(snippet("cuhk03"), {})
    assert read_dataset("folder", root / "manifest.csv").records == (
        ImageRecord("bounding_box_train/0003_c2_21.png", "train", 3, 1),
        ImageRecord("query/0001_c1_1.png", "query", 1, 0),
        ImageRecord("bounding_box_test/0001_c2_6.png", "gallery", 1, 1),
    )


def test_identity_folders_of_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(tmp_path / "photos", "ann/1.jpg", "ann/2.jpg", "bob/1.jpg", "bob/2.jpg")
    monkeypatch.chdir(tmp_path)
    exec(snippet("photos"), {})
    assert read_dataset("folder", root / "manifest.csv").records == (
        ImageRecord("ann/1.jpg", "train", 0),
        ImageRecord("ann/2.jpg", "train", 0),
        ImageRecord("bob/1.jpg", "query", 1),
        ImageRecord("bob/2.jpg", "gallery", 1),
    )


def test_manifest_table_of_the_docs(tmp_path: Path) -> None:
    (text,) = re.findall(r"```\n(path,.*?)```", DOCS.read_text(), flags=re.DOTALL)
    rows = list(csv.DictReader(text.splitlines()))
    plant(tmp_path, *(row["path"] for row in rows))
    (tmp_path / "manifest.csv").write_text(text)
    assert len(read_dataset("folder", tmp_path / "manifest.csv").records) == len(rows) == 3


def test_docs_know_every_name_and_alias_and_place(tmp_path: Path) -> None:
    text = PUBLIC.read_text()
    for name in READERS.names():
        for word in (name, *READERS[name].folders):
            assert f"`{word}`" in text
    (block,) = re.findall(r"```\n(data/market1501/.*?)```", text, flags=re.DOTALL)
    places = [tmp_path / place.removeprefix("data/") for place in block.split()]
    for place in reversed(places):  # from the last choice to the first
        plant(
            place,
            "bounding_box_train/0002_c1s1_000451_03.jpg",
            "query/0001_c1s1_001051_00.jpg",
            "bounding_box_test/0001_c2s1_001051_03.jpg",
        )
        assert read_dataset("market1501", tmp_path).root == place
    shutil.rmtree(places[0])
    assert read_dataset("market1501", tmp_path).root == places[1]
