"""Market-1501: junk images (identity -1) are dropped, distractors (identity 0) are kept."""

import re
from pathlib import Path

from mprd.data.datasets.base import Listing
from mprd.data.datasets.flat import STANDARD, FlatLayout
from mprd.data.datasets.registry import reader
from mprd.errors import many

# Some images, in some copies more of them, end in `.jpg.jpg`.
LAYOUT = FlatLayout(
    pattern=re.compile(
        r"(?P<identity>-1|\d{4})_c(?P<camera>\d)s(?P<sequence>\d)_(?P<frame>\d{6})"
        r"_\d{2}(\.jpg){1,2}"
    ),
    example="0002_c1s1_000451_03.jpg",
    cameras=range(1, 7),
)


@reader(
    tree="""
        Market-1501-v15.09.15/
          bounding_box_train/  0002_c1s1_000451_03.jpg ...
          query/               0001_c1s1_001051_00.jpg ...
          bounding_box_test/   0001_c1s1_001051_03.jpg ...
    """,
    folders=("Market-1501-v15.09.15", "Market-1501"),
    layouts=(tuple(STANDARD.values()),),
)
def read_market1501(root: Path) -> Listing:
    """List Market-1501.

    Times are in frames, 25 a second: the frame in the name plus the lengths of the camera's earlier
    sequences (as st-ReID, AAAI 2019). The length of a sequence is the largest frame of any file in
    it, junk included.
    """
    records = LAYOUT.read(root)
    kept = tuple(record for record in records if record.identity >= 0)
    junk = len(records) - len(kept)
    notes = (f"{many(junk, 'junk image')} (identity -1): left out.",) if junk else ()
    return Listing(root, kept, notes, time_unit="frames")
