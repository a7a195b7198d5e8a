"""The named data sets, on tiny trees of empty files: readers open no image."""

from collections import Counter
from pathlib import Path

import pytest

from mprd.data.datasets import (
    SPLITS,
    Listing,
    canonical_name,
    names,
    read_dataset,
)
from mprd.errors import UserError
from tests.data.planted import plant

MARKET = (
    "bounding_box_train/0002_c1s1_000451_03.jpg",
    "bounding_box_train/0007_c6s2_000451_01.jpg",
    "query/0001_c1s1_001051_00.jpg",
    "bounding_box_test/0001_c2s1_001051_03.jpg",
)
DUKE = (
    "bounding_box_train/0001_c2_f0046182.jpg",
    "query/0005_c8_f0046985.jpg",
    "bounding_box_test/0005_c1_f0044158.jpg",
)
MSMT_FLAT = (
    "bounding_box_train/0000_c1_0000.jpg",
    "query/1041_c15_0002.jpg",
    "bounding_box_test/1041_c7_0003.jpg",
)
VERI = (
    "image_train/0001_c001_00016450_0.jpg",
    "image_train/0003_c020_00016450_0.jpg",
    "image_query/0002_c002_00030600_0.jpg",
    "image_test/0002_c005_00030600_0.jpg",
)
PERSONX = (
    *(f"bounding_box_train/0001_c{camera}s1_33.jpg" for camera in (3, 4, 8, 10, 11, 12)),
    "query/0411_c3s1_12.jpg",
    "bounding_box_test/0411_c12s1_20.jpg",
)
FLAT_SETS = [
    ("market1501", "Market-1501-v15.09.15", MARKET),
    ("dukemtmcreid", "DukeMTMC-reID", DUKE),
    ("msmt17", "MSMT17_V1", MSMT_FLAT),
    ("personx", "PersonX", PERSONX),
    ("veri", "VeRi", VERI),
]


def labels(listing: Listing) -> list[tuple[str, int, int]]:
    return [(record.split, record.identity, record.camera) for record in listing.records]


def test_names_are_known_as_users_write_them() -> None:
    assert names() == [
        "dukemtmcreid",
        "folder",
        "market1501",
        "msmt17",
        "personx",
        "synthetic",
        "veri",
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("market1501", "market1501"),
        ("Market-1501", "market1501"),
        ("MARKET 1501", "market1501"),
        ("market", "market1501"),
        ("dukemtmc", "dukemtmcreid"),
        ("DukeMTMC-reID", "dukemtmcreid"),
        ("duke", "dukemtmcreid"),
        ("MSMT17", "msmt17"),
        ("MSMT17_V2", "msmt17"),
        ("PersonX", "personx"),
        ("VeRi-776", "veri"),
    ],
)
def test_canonical_name(written: str, name: str) -> None:
    assert canonical_name(written) == name


@pytest.mark.parametrize(("written", "offered"), [("Marked-1501", "market1501"), ("very", "veri")])
def test_unknown_name_offers_the_nearest(written: str, offered: str) -> None:
    with pytest.raises(UserError, match=f"no data set '{written}'.*did you mean.*'{offered}'"):
        canonical_name(written)


def test_unknown_name_without_a_near_one_lists_all() -> None:
    with pytest.raises(UserError, match=r"no data set 'xyzzy'\. Known are dukemtmcreid, folder,"):
        canonical_name("xyzzy")


@pytest.mark.parametrize(("name", "folder", "paths"), FLAT_SETS)
def test_paths_and_splits(name: str, folder: str, paths: tuple[str, ...], tmp_path: Path) -> None:
    plant(tmp_path / folder, *reversed(paths), ".DS_Store")
    listing = read_dataset(name, tmp_path)
    assert listing.root == tmp_path / folder
    assert {record.path for record in listing.records} == set(paths)
    assert all((listing.root / record.path).is_file() for record in listing.records)
    order = [(SPLITS.index(record.split), record.path) for record in listing.records]
    assert order == sorted(order)
    splits = Counter(record.split for record in listing.records)
    assert splits == {"train": len(paths) - 2, "query": 1, "gallery": 1}


@pytest.mark.parametrize("place", ["market1501/Market-1501-v15.09.15", "Market-1501", "market1501"])
def test_places_of_the_root(place: str, tmp_path: Path) -> None:
    root = plant(tmp_path / place, *MARKET)
    assert read_dataset("market1501", tmp_path).root == root
    assert read_dataset("market1501", root).root == root


def test_an_incomplete_place_gives_way_to_a_complete_one(tmp_path: Path) -> None:
    plant(tmp_path / "market1501" / "Market-1501-v15.09.15", *MARKET[:2])
    root = plant(tmp_path / "Market-1501-v15.09.15", *MARKET)
    assert read_dataset("market1501", tmp_path).root == root


def test_not_found_shows_tree_and_places(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'market1501' was not found") as caught:
        read_dataset("market1501", tmp_path)
    message = str(caught.value)
    assert f"  {tmp_path}/market1501/Market-1501-v15.09.15\n" in message
    assert f"  {tmp_path}\n" in message
    assert "    bounding_box_train/  0002_c1s1_000451_03.jpg ...\n" in message


def test_missing_subfolder_is_named(tmp_path: Path) -> None:
    root = plant(tmp_path / "VeRi", VERI[0], VERI[-1])
    with pytest.raises(UserError, match=f"{root} lacks image_query. Looked at") as caught:
        read_dataset("veri", tmp_path)
    assert "lacks image_train" not in str(caught.value)


@pytest.mark.parametrize(("name", "folder", "paths"), FLAT_SETS)
def test_empty_split_is_named(
    name: str, folder: str, paths: tuple[str, ...], tmp_path: Path
) -> None:
    root = plant(tmp_path / folder, *paths)
    (root / paths[-2]).rename(root / paths[-2].replace(Path(paths[-2]).name, "Thumbs.db"))
    empty = root / Path(paths[-2]).parent
    with pytest.raises(UserError, match=f"split query is empty: there are no images in {empty}"):
        read_dataset(name, tmp_path)


@pytest.mark.parametrize(("name", "folder", "paths"), FLAT_SETS)
def test_misfits_are_counted_and_the_first_named(
    name: str, folder: str, paths: tuple[str, ...], tmp_path: Path
) -> None:
    last = Path(paths[-1])
    plant(tmp_path / folder, *paths, f"{last.parent}/b.jpg", f"{last.parent}/a.jpg", f"{last}.bak")
    message = rf"3 file\(s\) in .*{last.parent} do not fit.*first '{last.name}\.bak'"
    with pytest.raises(UserError, match=message):
        read_dataset(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "paths", "misfit", "cameras"),
    [
        (*FLAT_SETS[0], "query/0001_c7s1_001051_00.jpg", "1-6"),
        (*FLAT_SETS[1], "query/0005_c9_f0046985.jpg", "1-8"),
        (*FLAT_SETS[2], "query/1041_c16_0002.jpg", "1-15"),
        (*FLAT_SETS[3], "query/0411_c5s1_12.jpg", "3, 4, 8, 10, 11, 12"),
        (*FLAT_SETS[4], "image_query/0002_c021_00030600_0.jpg", "1-20"),
    ],
)
def test_impossible_camera_is_a_misfit(
    name: str, folder: str, paths: tuple[str, ...], misfit: str, cameras: str, tmp_path: Path
) -> None:
    plant(tmp_path / folder, *paths, misfit)
    with pytest.raises(UserError, match=f"first '{Path(misfit).name}'.*camera among {cameras}"):
        read_dataset(name, tmp_path)


def test_market_quirks(tmp_path: Path) -> None:
    root = plant(
        tmp_path / "Market-1501-v15.09.15",
        *MARKET,
        "bounding_box_train/Thumbs.db",
        "query/0001_c3s1_001051_00.jpg.jpg",
        "bounding_box_test/-1_c1s1_000401_03.jpg",
        "bounding_box_test/-1_c1s1_000401_04.jpg.jpg",
        "bounding_box_test/0000_c1s1_000151_01.jpg",
    )
    listing = read_dataset("market", root)
    assert labels(listing) == [
        ("train", 2, 0),
        ("train", 7, 5),
        ("query", 1, 0),
        ("query", 1, 2),
        ("gallery", 0, 0),
        ("gallery", 1, 1),
    ]
    assert listing.records[3].path == "query/0001_c3s1_001051_00.jpg.jpg"
    assert listing.notes == ("2 junk images (identity -1): left out.",)


def test_duke_says_that_it_was_withdrawn(tmp_path: Path) -> None:
    listing = read_dataset("duke", plant(tmp_path, *DUKE))
    assert labels(listing) == [("train", 1, 1), ("query", 5, 7), ("gallery", 5, 0)]
    assert len(listing.notes) == 1
    assert "withdrawn by its authors in 2019" in listing.notes[0]


def test_personx_cameras(tmp_path: Path) -> None:
    listing = read_dataset("personx", plant(tmp_path, *PERSONX))
    cameras = {Path(record.path).name.split("_")[1]: record.camera for record in listing.records}
    assert cameras == {"c3s1": 0, "c4s1": 1, "c8s1": 2, "c10s1": 3, "c11s1": 4, "c12s1": 5}


def test_veri_counts_identities(tmp_path: Path) -> None:
    listing = read_dataset("veri", plant(tmp_path, *VERI))
    assert labels(listing) == [
        ("train", 1, 0),
        ("train", 3, 19),
        ("query", 2, 1),
        ("gallery", 2, 4),
    ]
    assert listing.notes == ("Train identities (vehicles): 2.",)


def test_synthetic_is_the_data_folder_itself(tmp_path: Path) -> None:
    paths = (
        "bounding_box_train/12345_c12s1_000451_03.png",
        "query/0001_c1s1_001051_00.jpg",
        "bounding_box_test/0001_c2s1_001051_03.jpg",
    )
    listing = read_dataset("synthetic", plant(tmp_path / "made", *paths))
    assert labels(listing) == [("train", 12345, 11), ("query", 1, 0), ("gallery", 1, 1)]
    with pytest.raises(UserError, match="'synthetic' was not found"):
        read_dataset("synthetic", tmp_path)


def test_msmt17_flat(tmp_path: Path) -> None:
    listing = read_dataset("msmt17", plant(tmp_path / "MSMT17_V1", *MSMT_FLAT))
    assert labels(listing) == [("train", 0, 0), ("query", 1041, 14), ("gallery", 1041, 6)]
