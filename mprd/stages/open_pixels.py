"""Open the pixels of some images of a run, checked against its index."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mprd.artifacts import Artifact
from mprd.errors import UserError

if TYPE_CHECKING:  # slow to load
    import torch

    from mprd.data.pixels import PixelStore


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
