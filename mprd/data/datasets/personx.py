"""PersonX: rendered images of six cameras with numbers of their own."""

import re
from collections.abc import Iterable
from pathlib import Path

from mprd.data.datasets.base import ImageRecord
from mprd.data.datasets.flat import STANDARD, FlatLayout
from mprd.data.datasets.registry import reader

LAYOUT = FlatLayout(
    pattern=re.compile(r"(?P<identity>\d+)_c(?P<camera>\d+)s\d+_\d+\.jpg"),
    example="0001_c3s1_33.jpg",
    cameras=(3, 4, 8, 10, 11, 12),
)


@reader(
    tree="""
        PersonX/
          bounding_box_train/  0001_c3s1_33.jpg ...
          query/               0411_c3s1_12.jpg ...
          bounding_box_test/   0411_c4s1_20.jpg ...
    """,
    folders=("PersonX",),
    layouts=(tuple(STANDARD.values()),),
)
def read_personx(root: Path) -> Iterable[ImageRecord]:
    """List PersonX; its images are rendered and have no times."""
    return LAYOUT.read(root)
