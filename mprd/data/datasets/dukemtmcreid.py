"""DukeMTMC-reID, for those who hold a copy and may use it."""

import re
from pathlib import Path

from mprd.data.datasets.base import Listing
from mprd.data.datasets.flat import STANDARD, FlatLayout
from mprd.data.datasets.registry import reader

LAYOUT = FlatLayout(
    pattern=re.compile(r"(?P<identity>\d{4})_c(?P<camera>\d)_f(?P<frame>\d+)\.jpg"),
    example="0001_c2_f0046182.jpg",
    cameras=range(1, 9),
)


@reader(
    tree="""
        DukeMTMC-reID/
          bounding_box_train/  0001_c2_f0046182.jpg ...
          query/               0005_c2_f0046985.jpg ...
          bounding_box_test/   0002_c1_f0044158.jpg ...
    """,
    folders=("DukeMTMC-reID",),
    layouts=(tuple(STANDARD.values()),),
)
def read_dukemtmcreid(root: Path) -> Listing:
    """List DukeMTMC-reID.

    Times are in frames, 60 a second, as in the names: each camera counts from its own start.
    """
    note = "DukeMTMC-reID was withdrawn by its authors in 2019: check that you may use your copy."
    return Listing(root, tuple(LAYOUT.read(root)), (note,), time_unit="frames")
