"""MSMT17 in the official layout (V1, V2) and in the flat one that third parties made of it."""

import math
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

from mprd.data.datasets.base import SPLITS, ImageRecord, Listing, Split
from mprd.data.datasets.flat import STANDARD, FlatLayout
from mprd.data.datasets.registry import reader
from mprd.errors import UserError

CAMERAS = range(1, 16)
FLAT = FlatLayout(
    pattern=re.compile(r"(?P<identity>\d+)_c(?P<camera>\d+)_\w+\.jpg"),
    example="0000_c1_0000.jpg",
    cameras=CAMERAS,
)
LISTS: tuple[tuple[str, Split], ...] = (
    ("list_train.txt", "train"),
    ("list_val.txt", "train"),  # unsupervised work trains on both
    ("list_query.txt", "query"),
    ("list_gallery.txt", "gallery"),
)
_OFFICIAL_FOLDERS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
_LIST_NAMES = tuple(name for name, _ in LISTS)
# 0000/0000_000_01_0303morning_0008_0.jpg 0: the third field is the camera
_LINE = re.compile(r"(?P<path>(?:.*/)?[^_/]+_[^_/]+_(?P<camera>\d+)_[^/]*)\s+(?P<identity>\d+)")

# _0303morning_0008_: 3 March, morning, frame 8 of its video
_TIME = re.compile(r"_(?P<month>\d\d)(?P<day>\d\d)(?P<part>morning|noon|afternoon)_(?P<frame>\d+)_")
_PARTS = ("morning", "noon", "afternoon")
_PART_FRAMES = 10_000  # more than a part of a day has
_LEAP_YEAR = 2016  # knows every day that a name can hold


@reader(
    tree="""
        MSMT17_V1/ (or MSMT17_V2/, MSMT17/), official
          train/, test/ (V1) or mask_train_v2/, mask_test_v2/ (V2)
          list_train.txt, list_val.txt, list_query.txt, list_gallery.txt
        or flat
          bounding_box_train/  0000_c1_0000.jpg ...
          query/
          bounding_box_test/
    """,
    folders=("MSMT17_V1", "MSMT17_V2", "MSMT17"),
    layouts=(
        *((*folders, *_LIST_NAMES) for folders in _OFFICIAL_FOLDERS),
        tuple(STANDARD.values()),
    ),
)
def read_msmt17(root: Path) -> Listing:
    """List MSMT17, in either layout.

    Times are in frames: 10,000 for each part of a day (morning, noon, afternoon) since the morning
    of 1 January, plus the number of the frame. So the order is right everywhere, and a difference
    is one of frames within a part of a day. Names of the flat layout hold no time.
    """
    for train, test in _OFFICIAL_FOLDERS:
        if all((root / part).exists() for part in (train, test, *_LIST_NAMES)):
            return Listing(root, tuple(_read_official(root, train, test)), time_unit="frames")
    return Listing(root, tuple(FLAT.read(root)))


def frame_of(name: str) -> float:
    """Return the time in a name of the official layout, NaN if there is none.

    Example:
        >>> frame_of("0000_000_01_0303morning_0008_0.jpg") - frame_of("0001_000_02_0302noon_0003_0")
        20005.0
    """
    match = _TIME.search(name)
    try:
        day = date(_LEAP_YEAR, int(match["month"]), int(match["day"])) if match else None
    except ValueError:
        day = None
    if match is None or day is None:
        return math.nan
    days = (day - date(_LEAP_YEAR, 1, 1)).days
    part = days * len(_PARTS) + _PARTS.index(match["part"])
    return float(part * _PART_FRAMES + int(match["frame"]))


def _read_official(root: Path, train: str, test: str) -> list[ImageRecord]:
    """Read the four lists; test identities restart at 0 there, so they are moved up."""
    records = []
    for name, split in LISTS:
        records += _read_list(root, name, train if split == "train" else test, split)
    for split in SPLITS:
        if all(record.split != split for record in records):
            lists = ", ".join(name for name, of in LISTS if of == split)
            raise UserError(f"The split {split} is empty: {lists} in {root} list no images.")
    offset = 1 + max(record.identity for record in records if record.split == "train")
    return [
        record if record.split == "train" else replace(record, identity=record.identity + offset)
        for record in records
    ]


def _read_list(root: Path, name: str, folder: str, split: Split) -> list[ImageRecord]:
    records = []
    for number, line in enumerate((root / name).read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or int(match["camera"]) not in CAMERAS:
            raise UserError(
                f"Line {number} of {root / name} is '{line.strip()}': expected a line like "
                "'0000/0000_000_01_0303morning_0008_0.jpg 0' with a camera among 1-15."
            )
        path = f"{folder}/{match['path']}"
        if not (root / path).is_file():
            raise UserError(
                f"Line {number} of {root / name} lists '{match['path']}', but {root / path} does "
                "not exist: unpack the data set again."
            )
        camera = CAMERAS.index(int(match["camera"]))
        time = frame_of(match["path"])
        records.append(ImageRecord(path, split, int(match["identity"]), camera, time))
    return records
