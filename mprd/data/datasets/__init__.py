"""Readers of data sets: each lists the images of one layout on disk, and opens none of them.

Example:
    >>> listing = read_dataset("Market-1501", Path("data"))  # doctest: +SKIP
    >>> listing.records[0]  # doctest: +SKIP
    ImageRecord(path='bounding_box_train/0002_c1s1_000451_03.jpg', split='train', ...)
"""

from mprd.data.datasets.base import SPLITS, ImageRecord, Listing, Split
from mprd.data.datasets.registry import canonical_name, load_reader, names, read_dataset, register

__all__ = [
    "SPLITS",
    "ImageRecord",
    "Listing",
    "Split",
    "canonical_name",
    "load_reader",
    "names",
    "read_dataset",
    "register",
]
