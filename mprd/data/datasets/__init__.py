"""Readers of data sets: each lists the images of one layout on disk, and opens none of them.

Example:
    >>> listing = read_dataset("Market-1501", Path("data"))  # doctest: +SKIP
    >>> listing.records[0]  # doctest: +SKIP
    ImageRecord(path='bounding_box_train/0002_c1s1_000451_03.jpg', split='train', ...)
"""

import importlib
import pkgutil

from mprd.data.datasets.base import SPLITS, ImageRecord, Listing, Split
from mprd.data.datasets.plugin import load_plugin
from mprd.data.datasets.registry import canonical_name, names, read_dataset, register

__all__ = [
    "SPLITS",
    "ImageRecord",
    "Listing",
    "Split",
    "canonical_name",
    "load_plugin",
    "names",
    "read_dataset",
    "register",
]

# A reader is one file here; it registers itself when it is imported.
for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
