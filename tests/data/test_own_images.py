"""The data set `folder`: a folder of crops, or a manifest."""

import errno
import os
import sys
from pathlib import Path

import pandas as pd
import pytest

from mprd.config import validate
from mprd.data.datasets import ImageRecord, Listing, read_dataset
from mprd.data.datasets.fingerprint import fingerprint
from mprd.data.datasets.flat import _file_names
from mprd.data.image_paths import image_paths
from mprd.errors import UserError
from mprd.stages.index import _columns
from tests.data.planted import plant


def write(root: Path, text: str, name: str = "manifest.csv") -> Path:
    """Write a manifest beside the images a.jpg to f.jpg."""
    plant(root, *(f"{letter}.jpg" for letter in "abcdef"))
    (root / name).write_text(text)
    return root / name


def read(root: Path, text: str) -> Listing:
    return read_dataset("folder", write(root, text))


def test_crops_are_unlabelled_train_images(tmp_path: Path) -> None:
    images = ["a.JPG", "b.jpeg", "deep/er/c.png", "deep/d.bmp", "e.WebP"]
    plant(tmp_path, *images, ".hidden.jpg", ".cache/x.jpg", "Thumbs.db")
    plant(tmp_path, "deep/@eaDir/d.bmp", "#recycle/x.jpg", "$RECYCLE.BIN/x.jpg", "__MACOSX/x.jpg")
    listing = read_dataset("folder", tmp_path)
    assert listing.root == tmp_path
    assert listing.records == tuple(ImageRecord(path, "train", -1, -1) for path in sorted(images))
    assert listing.notes == (
        "5 of 5 images have no camera: the camera-aware sampler and the same-camera filter are "
        "off.",
        "There are no query images: evaluation is skipped.",
    )


def test_other_files_among_crops_are_counted(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", "b.tiff", "c/notes.txt", "b.heic", "c/d.HEIC", "e.svg")
    listing = read_dataset("folder", tmp_path)
    assert [record.path for record in listing.records] == ["a.jpg", "b.tiff"]
    assert listing.notes[0].startswith(
        "4 files are not read (2 .heic, 1 .svg, 1 .txt), first 'b.heic': images are png, jpg"
    )


def test_every_kind_of_other_files_is_counted(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg", *(f"{n}.kind{n}" for n in range(11)))
    note = read_dataset("folder", tmp_path).notes[0]
    assert note.startswith("11 files are not read (1 .kind0, ")
    assert ", 3 of other kinds), first '0.kind0'" in note


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders called `closed` cannot be listed, whoever asks; `dropped` ones fail half-way."""
    scandir = os.scandir

    class Dropped:
        def __init__(self, path: str) -> None:
            self.path = path

        def __enter__(self) -> "Dropped":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def __iter__(self) -> "Dropped":
            return self

        def __next__(self) -> None:
            raise OSError(errno.EIO, "Input/output error", self.path)

    def refuse(path: str) -> object:
        if os.path.basename(path) == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return Dropped(path) if os.path.basename(path) == "dropped" else scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)


def test_what_cannot_be_listed_is_told_or_counted(tmp_path: Path, closed: None) -> None:
    plant(tmp_path, "a/1.jpg", "closed/2.jpg")
    with pytest.raises(UserError, match=r"'closed' in .* cannot be listed \(Permission denied\)"):
        read_dataset("folder", tmp_path)
    with pytest.raises(UserError, match="cannot be listed"):
        image_paths(tmp_path)
    plant(tmp_path, "b/dropped/3.jpg")
    with pytest.raises(UserError, match=r"2 folders or files are so"):
        read_dataset("folder", tmp_path)
    listing = read_dataset("folder", tmp_path, skip_unlisted=True)
    assert [record.path for record in listing.records] == ["a/1.jpg"]
    assert "Left out 2 folders or files that cannot be listed" in listing.notes[0]
    assert image_paths(tmp_path, skip_unlisted=True) == [tmp_path / "a/1.jpg"]
    with pytest.raises(UserError, match="cannot be listed"):
        read_dataset("folder", tmp_path / "b", skip_unlisted=True)  # there is nothing else


def test_a_split_that_cannot_be_listed(tmp_path: Path, closed: None) -> None:
    (tmp_path / "closed").mkdir()
    with pytest.raises(UserError, match=r"closed cannot be listed \(Permission denied\)"):
        _file_names(tmp_path / "closed")


def test_names_that_are_not_utf8_are_told_or_counted(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg")
    (tmp_path / os.fsdecode(b"M\xfcller.jpg")).touch()
    with pytest.raises(UserError, match=r"'M\\xfcller.jpg' in .* cannot be listed \(its name is"):
        read_dataset("folder", tmp_path)
    listing = read_dataset("folder", tmp_path, skip_unlisted=True)
    assert [record.path for record in listing.records] == ["a.jpg"]
    assert r"first 'M\xfcller.jpg' (its name is not UTF-8" in listing.notes[0]


def test_results_among_the_images_do_not_count(tmp_path: Path) -> None:
    """As when `mprd run` is started in the folder of the images."""
    plant(tmp_path, "a.jpg")
    before = fingerprint("folder", tmp_path)
    plant(tmp_path, "crops.yaml", "results/crops/config.yaml", "results/crops/picture.png")
    plant(tmp_path, "results/summary.csv", "results/crops/provenance/index-1.json")
    assert fingerprint("folder", tmp_path) == before
    listing = read_dataset("folder", tmp_path)
    assert [record.path for record in listing.records] == ["a.jpg"]
    assert "1 folder holds results of mprd, first 'results/crops': left out." in listing.notes


def test_a_folder_that_cannot_be_listed_changes_the_fingerprint(
    tmp_path: Path, closed: None
) -> None:
    plant(tmp_path, "a.jpg")
    before = fingerprint("folder", tmp_path)
    plant(tmp_path, "closed/b.jpg")
    assert fingerprint("folder", tmp_path) != before


def test_folder_without_images(tmp_path: Path) -> None:
    plant(tmp_path, "notes.txt")
    with pytest.raises(UserError, match=r"no images \(png, jpg, .*, avif\) in .*1 \.txt"):
        read_dataset("folder", tmp_path)


def test_missing_folder_or_manifest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)'folder' was not found.*Expected:.*\.parquet"):
        read_dataset("folder", tmp_path / "none.csv")


def test_file_of_another_kind(tmp_path: Path) -> None:
    plant(tmp_path, "images.zip")
    with pytest.raises(UserError, match=r"images\.zip is no folder of images and no manifest"):
        read_dataset("folder", tmp_path / "images.zip")


def test_full_manifest(tmp_path: Path) -> None:
    listing = read(
        tmp_path,
        "path,split,identity,camera\n"
        "c.jpg,gallery,7,1\n"
        "b.jpg, Query ,7,0\n"
        "\n"
        "a.jpg,train,0012,1\n"
        "d.jpg,gallery,,0\n",
    )
    assert listing.root == tmp_path
    assert listing.records == (
        ImageRecord("a.jpg", "train", 12, 1),
        ImageRecord("b.jpg", "query", 7, 0),
        ImageRecord("c.jpg", "gallery", 7, 1),
        ImageRecord("d.jpg", "gallery", -1, 0),
    )
    assert listing.notes == ()


def test_manifest_of_paths_only(tmp_path: Path) -> None:
    listing = read(tmp_path, "path\nb.jpg\na.jpg\n")
    assert listing.records == (ImageRecord("a.jpg", "train"), ImageRecord("b.jpg", "train"))
    assert "2 of 2 images have no camera" in listing.notes[0]
    assert "evaluation is skipped" in listing.notes[1]


def test_names_are_numbered_in_sorted_order(tmp_path: Path) -> None:
    listing = read(
        tmp_path,
        "path,identity,camera\na.jpg,zoe,yard\nb.jpg,alice,door\nc.jpg,-1,\nd.jpg,zoe,door\n",
    )
    labels = [(record.identity, record.camera) for record in listing.records]
    assert labels == [(1, 1), (0, 0), (-1, -1), (1, 0)]
    assert listing.camera_names == ("door", "yard")
    assert listing.identity_names == ("alice", "zoe")


def test_camera_numbers_with_gaps_are_closed_up(tmp_path: Path) -> None:
    rows = "path,identity,camera\na.jpg,5.0,10\nb.jpg,9,2\nc.jpg,,10.0\nd.jpg,-1.0,-1\n"
    listing = read(tmp_path, rows)
    labels = [(record.identity, record.camera) for record in listing.records]
    assert labels == [(5, 1), (9, 0), (-1, 1), (-1, -1)]
    assert listing.camera_names == ("2", "10")


def test_identities_too_large_for_an_index_are_numbered(tmp_path: Path) -> None:
    listing = read(tmp_path, f"path,identity\na.jpg,{2**31}\nb.jpg,1\n")
    assert [record.identity for record in listing.records] == [1, 0]


@pytest.mark.parametrize(
    ("train", "test", "off"),
    [
        ("", "0", "1 of 3 images has no camera: the camera-aware sampler does not apply to it."),
        ("0", "", "1 of 3 images has no camera: the same-camera filter does not apply to it."),
        ("0", "1", None),
    ],
)
def test_missing_cameras_switch_off_their_users(
    train: str, test: str, off: str | None, tmp_path: Path
) -> None:
    listing = read(
        tmp_path,
        "path,split,identity,camera\n"
        f"a.jpg,train,,{train}\nb.jpg,query,1,0\nc.jpg,gallery,1,{test}\n",
    )
    assert listing.notes == (() if off is None else (off,))


def test_manifest_without_train_images(tmp_path: Path) -> None:
    listing = read(tmp_path, "path,split,identity,camera\na.jpg,query,1,0\nb.jpg,gallery,1,1\n")
    assert listing.notes == (
        "There are no train images: this data set can be evaluated, not trained on.",
    )


def test_paths_outside_and_absolute(tmp_path: Path) -> None:
    root = tmp_path / "lists"
    outside = plant(tmp_path, "far/x.jpg") / "far/x.jpg"
    plant(root, "y.jpg")
    listing = read(root, f"path\n{outside}\n{root}/y.jpg\n../far/x.jpg\n./a.jpg\n")
    paths = [record.path for record in listing.records]
    assert paths == ["../far/x.jpg", str(outside), "a.jpg", "y.jpg"]
    assert all((listing.root / path).is_file() for path in paths)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\na.jpg\n\nno.jpg\nx.jpg\n", r"Row 4 of .*no image 'no\.jpg' \(2 of 3 rows are so"),
        ("path,identity\n,3\n", "Row 2 of .*no image ''"),
        ("path,identiti\na.jpg,1\n", r"unknown column 'identiti' \(did you mean 'identity'\?\)"),
        ("path;split\na.jpg;train\n", "unknown column 'path;split'.*commas"),
        ("split,identity\ntrain,1\n", "has no column 'path'"),
        ("path,split\na.jpg,trian\n", r"Row 2 .*split 'trian' \(did you mean 'train'\?\)"),
        ("path,split\na.jpg,test\n", "Row 2 .*'test'.*must be one of train, query, gallery"),
        ("path,split\na.jpg,train\nb.jpg,\n", "Row 3 of .*unknown split ''"),
        ("path,split,identity\na.jpg,query,1\nb.jpg,train,\n", "query images but no gallery"),
        (
            "path,split,identity\na.jpg,query,\nb.jpg,gallery,1\n",
            r"query image 'a\.jpg' without an identity",
        ),
        ("path\na.jpg\nb.jpg\n./a.jpg\n", r"lists 'a\.jpg' twice in the split train"),
        ("path,camera\na.jpg,1,2\n", r"cannot be read: its rows have more cells"),
        ('path\n"a.jpg\n', "cannot be read: "),
        ("path\n", "holds no rows"),
        ("", "cannot be read: "),
    ],
)
def test_mistakes_in_a_manifest(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, text)


def test_manifest_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"path\n\xff\xfe.jpg\n")
    with pytest.raises(UserError, match=r"manifest\.csv is not UTF-8"):
        read_dataset("folder", tmp_path / "manifest.csv")


def test_manifest_saved_by_a_spreadsheet(tmp_path: Path) -> None:
    assert len(read(tmp_path, "\ufeffpath,identity\r\na.jpg,1\r\n").records) == 1


def test_same_path_in_two_splits_is_allowed(tmp_path: Path) -> None:
    text = "path,split,identity,camera\na.jpg,query,1,0\na.jpg,gallery,1,0\nb.jpg,gallery,1,1\n"
    assert len(read(tmp_path, text).records) == 3


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "", "manifest.parquet")
    columns = {"path": ["b.jpg", "a.jpg"], "identity": [3.0, None], "camera": [0, 1]}
    monkeypatch.setattr(pd, "read_parquet", lambda _: pd.DataFrame(columns, index=[8, 9]))
    listing = read_dataset("folder", path)
    assert listing.records == (
        ImageRecord("a.jpg", "train", -1, 1),
        ImageRecord("b.jpg", "train", 3, 0),
    )


def test_rows_of_parquet_count_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "", "manifest.parquet")
    monkeypatch.setattr(pd, "read_parquet", lambda _: pd.DataFrame({"path": ["no.jpg"]}))
    with pytest.raises(UserError, match="Row 1 of "):
        read_dataset("folder", path)


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ("pyarrow", "fastparquet"):
        monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(UserError, match="run `pip install pyarrow`"):
        read_dataset("folder", write(tmp_path, "", "manifest.parquet"))


def test_cameras_are_found_in_paths(tmp_path: Path) -> None:
    plant(tmp_path, "cam_gate/mon/1.jpg", "cam_yard/2.jpg", "cam_gate/3.jpg", "else/4.jpg")
    listing = read_dataset("folder", tmp_path, r"cam_([a-z]+)")
    assert listing.camera_names == ("gate", "yard")
    found = {record.path: record.camera for record in listing.records}
    assert found == {
        "cam_gate/3.jpg": 0,
        "cam_gate/mon/1.jpg": 0,
        "cam_yard/2.jpg": 1,
        "else/4.jpg": -1,
    }
    assert listing.notes[0].startswith("1 of 4 images has no camera")


def test_camera_names_are_in_natural_order(tmp_path: Path) -> None:
    plant(tmp_path, *(f"c{n}/x.jpg" for n in (10, 9, 1)))
    assert read_dataset("folder", tmp_path, r"^(c\d+)/").camera_names == ("c1", "c9", "c10")


def test_a_pattern_that_fits_nothing(tmp_path: Path) -> None:
    plant(tmp_path, "a.jpg")
    with pytest.raises(UserError, match=r"data.camera: 'cam\(.\)' fits no path in .*'a.jpg'"):
        read_dataset("folder", tmp_path, "cam(.)")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("cam", "has 0 groups"), ("(a)(b)", "has 2 groups"), ("(", "no regular expression")],
)
def test_a_pattern_that_is_none(pattern: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        validate({"data": {"camera": pattern}}, "test")


def test_fingerprint_sees_every_change(tmp_path: Path) -> None:
    plant(tmp_path, "a/1.jpg", "b/2.jpg")
    seen = [fingerprint("folder", tmp_path)]

    def changes() -> bool:
        seen.append(fingerprint("folder", tmp_path))
        return seen[-1] != seen[-2]

    assert not changes()
    plant(tmp_path, "b/3.jpg")
    assert changes(), "a new image"
    (tmp_path / "b/3.jpg").write_text("x")
    assert changes(), "another size"
    os.utime(tmp_path / "b/3.jpg", ns=(0, 0))
    assert changes(), "another time"
    (tmp_path / "b/3.jpg").rename(tmp_path / "a/3.jpg")
    assert changes(), "another place"
    plant(tmp_path, ".hidden/4.jpg", "Thumbs.db")
    assert not changes(), "litter"
    (tmp_path / "a/3.jpg").unlink()
    assert changes(), "one less"
    assert fingerprint("folder", tmp_path / "none") == ""
    manifest = write(tmp_path, "path\na.jpg\n")
    assert fingerprint("folder", manifest) not in ("", seen[-1])


def test_a_camera_for_each_image_is_a_mistake():
    """As where `data.camera` finds the number of a frame."""
    records = [ImageRecord(f"{n}.jpg", "train", -1, n) for n in (0, 32_767)]
    with pytest.raises(UserError, match="name 32,768 cameras, at most 32,767"):
        _columns(records, [])
