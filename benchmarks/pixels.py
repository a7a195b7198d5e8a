"""Decoding and resizing as stage `pixels` does it: `python benchmarks/pixels.py`."""

import os
import tempfile
from pathlib import Path

import numpy as np
from common import Row, arguments, measure, report
from fabricate import config
from PIL import Image

from mprd.artifacts import INDEX, read_artifact, write_artifact
from mprd.data.synthetic import Wardrobe  # noqa: F401  (replaced below)


def main() -> None:
    raise SystemExit


if __name__ == "__main__":
    main()
