"""Small pictures inside a page."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from mprd.artifacts import PIXELS, open_artifact, read_images
from mprd.artifacts.disk import open_hdf5

_QUALITY = 70


class Thumbnails:
    """Pictures of index rows as data addresses, of a `pixels.h5`."""

    def __init__(self, pixels: Path) -> None:
        """Check the file.

        Raises:
            UserError: not a sound pixels artifact.
        """
        self._path = pixels
        with open_artifact(pixels, PIXELS) as file:
            self.shape: tuple[int, int] = file["pixels"].shape[1:3]

    def addresses(self, rows: Iterable[int], height: int = 96) -> dict[int, str]:
        """Return row -> `data:image/webp;base64,...`.

        Args:
            rows: index rows, in any order, repeats allowed.
            height: of the pictures in pixels, at most; images are never enlarged.
        """
        wanted = np.unique(np.fromiter(rows, np.int64))
        with open_hdf5(self._path) as file:
            images = read_images(file, wanted)
        return {
            int(row): picture_address(Image.fromarray(image), height)
            for row, image in zip(wanted, images, strict=True)
        }


def picture_address(image: Image.Image, height: int) -> str:
    """Return a picture as a data address.

    Args:
        image: RGB.
        height: in pixels, at most.
    """
    scale = min(1.0, height / image.height)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
