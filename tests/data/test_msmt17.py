"""MSMT17 in its official layout, on trees of empty files."""

from pathlib import Path

import pytest

from mprd.data.datasets import ImageRecord, read_dataset
from mprd.errors import UserError
from tests.data.planted import plant


def plant_official_msmt(root: Path, train: str, test: str) -> Path:
    lists = {
        "list_train.txt": (train, ["0000/0000_000_01_0303morning_0008_0.jpg 0"]),
        "list_val.txt": (train, ["0001/0001_004_15_0303noon_0010_1.jpg 1"]),
        "list_query.txt": (test, ["0000/0000_001_02_0303morning_0001_0.jpg 0"]),
        "list_gallery.txt": (
            test,
            [
                "0000/0000_002_03_0303morning_0001_0.jpg 0",
                "0001/0001_000_04_0303morning_0001_0.jpg 1",
            ],
        ),
    }
    for name, (folder, lines) in lists.items():
        plant(root, *(f"{folder}/{line.split()[0]}" for line in lines))
        (root / name).write_text("\n".join(lines) + "\n\n")
    return root


@pytest.mark.parametrize(
    ("folder", "train", "test"),
    [("MSMT17_V1", "train", "test"), ("MSMT17_V2", "mask_train_v2", "mask_test_v2")],
)
def test_msmt17_official(folder: str, train: str, test: str, tmp_path: Path) -> None:
    root = plant_official_msmt(tmp_path / folder, train, test)
    listing = read_dataset("MSMT17", tmp_path)
    assert listing.root == root
    morning, noon = (10_000.0 * (3 * 62 + part) for part in (0, 1))  # of 3 March, in a leap year
    assert listing.time_unit == "frames"
    assert listing.records == (
        ImageRecord(f"{train}/0000/0000_000_01_0303morning_0008_0.jpg", "train", 0, 0, morning + 8),
        ImageRecord(f"{train}/0001/0001_004_15_0303noon_0010_1.jpg", "train", 1, 14, noon + 10),
        ImageRecord(f"{test}/0000/0000_001_02_0303morning_0001_0.jpg", "query", 2, 1, morning + 1),
        ImageRecord(
            f"{test}/0000/0000_002_03_0303morning_0001_0.jpg", "gallery", 2, 2, morning + 1
        ),
        ImageRecord(
            f"{test}/0001/0001_000_04_0303morning_0001_0.jpg", "gallery", 3, 3, morning + 1
        ),
    )


@pytest.mark.parametrize(
    "line",
    [
        "0001/0001_004_16_0303noon_0010_1.jpg 1",
        "0001/0001_004_00_0303noon_0010_1.jpg 1",
        "0001/0001.jpg 1",
        "0001/0001_004_15_0303noon_0010_1.jpg",
    ],
)
def test_msmt17_bad_line_is_shown(line: str, tmp_path: Path) -> None:
    root = plant_official_msmt(tmp_path / "MSMT17", "train", "test")
    with open(root / "list_val.txt", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(UserError, match=f"Line 3 of {root / 'list_val.txt'} is '{line}'"):
        read_dataset("msmt17", tmp_path)


def test_msmt17_missing_image_is_named(tmp_path: Path) -> None:
    root = plant_official_msmt(tmp_path / "MSMT17", "train", "test")
    (root / "test/0001/0001_000_04_0303morning_0001_0.jpg").unlink()
    with pytest.raises(UserError, match=r"Line 2 of .*list_gallery.txt lists '0001/.* not exist"):
        read_dataset("msmt17", tmp_path)


def test_msmt17_empty_split_and_missing_list_are_named(tmp_path: Path) -> None:
    root = plant_official_msmt(tmp_path / "MSMT17", "train", "test")
    (root / "list_query.txt").write_text("")
    with pytest.raises(UserError, match=r"split query is empty: list_query\.txt"):
        read_dataset("msmt17", tmp_path)
    (root / "list_query.txt").unlink()
    with pytest.raises(UserError, match=rf"{root} lacks list_query\.txt\. "):
        read_dataset("msmt17", tmp_path)
