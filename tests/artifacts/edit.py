"""Artifacts with other contents, as if another program had written them."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from mprd.artifacts import SCHEMAS
from mprd.artifacts.checksums import seal


def edit(path: Path, change: Callable[[h5py.File], object]) -> None:
    """Change a file and write its checksum again; the digest stays, so it stays kin."""
    with h5py.File(path, "r+") as file:
        schema = SCHEMAS[file.attrs["schema"]]
        change(file)
    seal(path, schema)


def put(key: str, values: np.ndarray) -> Callable[[h5py.File], None]:
    """Return a change that puts other values in the place of a data set."""

    def change(file: h5py.File) -> None:
        del file[key]
        file[key] = values

    return change
