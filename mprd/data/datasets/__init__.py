"""Readers of data sets: each lists the images of one layout on disk, and opens none of them.

The readers register themselves when imported, so this package imports each of them.

Example:
    >>> listing = read_dataset("Market-1501", Path("data"))  # doctest: +SKIP
    >>> listing.records[0]  # doctest: +SKIP
    ImageRecord(path='bounding_box_train/0002_c1s1_000451_03.jpg', split='train', ...)
"""

from mprd.data.datasets import dukemtmcreid as dukemtmcreid
from mprd.data.datasets import folder as folder
from mprd.data.datasets import market1501 as market1501
from mprd.data.datasets import msmt17 as msmt17
from mprd.data.datasets import personx as personx
from mprd.data.datasets import synthetic as synthetic
from mprd.data.datasets import veri as veri
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
