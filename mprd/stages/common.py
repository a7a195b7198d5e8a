"""What several stages share: the index of a run and the images of a split."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mprd.artifacts import INDEX, SPLITS, Artifact, read_artifact
from mprd.errors import UserError

if TYPE_CHECKING:  # stages without torch use this module too
    import torch

    from mprd.data.pixels import PixelStore


def read_index(path: Path) -> Artifact:
    """Read `index.h5`."""
    return read_artifact(path, INDEX)


def split_rows(index: Artifact, *splits: str) -> np.ndarray:
    """Return the index rows of the splits, int64, ascending."""
    wanted = [SPLITS.index(split) for split in splits]
    return np.flatnonzero(np.isin(index["split"], wanted))


def open_store(
    pixels: Path, index: Artifact, rows: np.ndarray, device: "torch.device"
) -> "PixelStore":
    """Open the images of some rows and check that they belong to the index.

    Raises:
        UserError: the pixels were made from another index.
    """
    from mprd.data.pixels import PixelStore

    store = PixelStore(pixels, rows, device)
    if store.index_digest != index.digest:
        raise UserError(
            f"{pixels} was made from another index than {index.path}: it is stale or belongs to "
            "another run. Make it again with `mprd pixels`."
        )
    return store
