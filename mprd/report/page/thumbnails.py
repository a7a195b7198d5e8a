"""Small pictures inside a page."""

import base64
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from mprd.artifacts import PIXELS, open_artifact, read_images
from mprd.artifacts.disk import open_hdf5

_QUALITY = 70
_AREA = 40_000_000  # pixels of all pictures of a page
_TALLEST = 256  # pixels
_BLOCK = 256  # images in memory


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

    @property
    def ratio(self) -> float:
        """Width / height of all pictures."""
        return self.shape[1] / self.shape[0]

    def addresses(self, rows: Iterable[int], height: int | None = None) -> dict[int, str]:
        """Return row -> `data:image/webp;base64,...`.

        Args:
            rows: index rows, in any order, repeats allowed.
            height: of the pictures in pixels, at most; images are never enlarged. None: the more
                pictures, the smaller, so that a page stays of a bounded size (`fitting_height`).
        """
        wanted = np.unique(np.fromiter(rows, np.int64))
        if height is None:
            height = fitting_height(len(wanted), self.ratio)
        return {row: picture_address(image, height) for row, image in self.images(wanted)}

    def images(self, rows: np.ndarray) -> Iterator[tuple[int, Image.Image]]:
        """Yield rows and their pictures, as large as they are stored.

        Args:
            rows: index rows, int (n,).
        """
        with open_hdf5(self._path) as file:
            for start in range(0, len(rows), _BLOCK):
                some = rows[start : start + _BLOCK]
                for row, image in zip(some, read_images(file, some), strict=True):
                    yield int(row), Image.fromarray(image)


def fitting_height(count: int, ratio: float) -> int:
    """Return the height at which pictures together have 40 million pixels, at most 256.

    Args:
        count: of the pictures.
        ratio: width / height.
    """
    return max(1, min(_TALLEST, int((_AREA / (max(count, 1) * ratio)) ** 0.5)))


def picture_address(image: Image.Image, height: int) -> str:
    """Return a picture as a data address.

    Args:
        image: RGB.
        height: in pixels, at most.
    """
    return "data:image/webp;base64," + base64.b64encode(webp(image, height)).decode()


def webp(image: Image.Image, height: int) -> bytes:
    """Return a picture as a WebP file.

    Args:
        image: RGB.
        height: in pixels, at most; it is never enlarged.
    """
    scale = min(1.0, height / image.height)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()
