"""VeRi-776: vehicles seen by 20 cameras."""

import re
from pathlib import Path

from mprd.data.datasets.base import Listing, Split
from mprd.data.datasets.flat import FlatLayout
from mprd.data.datasets.registry import reader

FOLDERS: dict[Split, str] = {
    "train": "image_train",
    "query": "image_query",
    "gallery": "image_test",
}
LAYOUT = FlatLayout(
    pattern=re.compile(r"(?P<identity>\d{4})_c(?P<camera>\d{3})_(?P<frame>\d+)_\d+\.jpg"),
    example="0002_c002_00030600_0.jpg",
    cameras=range(1, 21),
    folders=FOLDERS,
)


@reader(
    tree="""
        VeRi/
          image_train/  0001_c001_00016450_0.jpg ...
          image_query/  0002_c002_00030600_0.jpg ...
          image_test/   0002_c002_00030600_0.jpg ...
    """,
    folders=("VeRi", "VeRi-776"),
    layouts=(tuple(FOLDERS.values()),),
)
def read_veri(root: Path) -> Listing:
    """List VeRi; copies differ by one train identity, so a note says how many there are.

    Times are in frames: the third field of the name.
    """
    records = tuple(LAYOUT.read(root))
    identities = {record.identity for record in records if record.split == "train"}
    note = f"Train identities (vehicles): {len(identities)}."
    return Listing(root, records, (note,), time_unit="frames")
