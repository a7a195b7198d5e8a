"""The images of our own generator: written in the Market-1501 layout, of any size."""

import re
from pathlib import Path

from mprd.data.datasets.base import Listing
from mprd.data.datasets.flat import STANDARD, FlatLayout
from mprd.data.datasets.registry import reader

LAYOUT = FlatLayout(
    pattern=re.compile(
        r"(?P<identity>\d+)_c(?P<camera>\d+)s(?P<sequence>\d+)_(?P<frame>\d+)_\d+\.(jpg|png)"
    ),
    example="0002_c1s1_000451_03.jpg",
    cameras=range(1, 1000),
)


@reader(
    tree="""
        the data folder itself/
          bounding_box_train/  0002_c1s1_000451_03.jpg ...
          query/
          bounding_box_test/
    """,
    layouts=(tuple(STANDARD.values()),),
)
def read_synthetic(root: Path) -> Listing:
    """List a generated data set; the data folder is the data set.

    Times are in frames, as in Market-1501.
    """
    return Listing(root, tuple(LAYOUT.read(root)), time_unit="frames")
