"""Decode image files and resize them, once."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from mprd.errors import UserError

ImageFile.LOAD_TRUNCATED_IMAGES = False


def decode(path: Path) -> Image.Image:
    """Read an image file as RGB.

    Raises:
        UserError: missing, no image, or cut short; names the path.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise UserError(f"Image {path} does not exist.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"Image {path} cannot be read ({error}). Remove or replace it, "
            "or set data.on_bad_image to skip."
        ) from None


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height from the file's header, without decoding the pixels.

    Raises:
        UserError: as `decode`.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"Image {path} cannot be read ({error}). Remove or replace it, "
            "or set data.on_bad_image to skip."
        ) from None


def resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Return the bicubic resize as uint8 (height, width, 3)."""
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)
