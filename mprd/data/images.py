"""Read image files and resize them, once. docs/explanation/reliability.md lists odd files."""

import hashlib
import io
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from mprd.config import Config
from mprd.errors import UserError, why_no_file

ImageFile.LOAD_TRUNCATED_IMAGES = False
# Above 179 megapixels Pillow refuses an image, above 89 it warns: that is for web servers.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_ORIENTATION = 0x0112  # EXIF
_EXIF_FOLDER, _TAKEN, _SUBSECOND = 0x8769, 0x9003, 0x9291  # DateTimeOriginal
_TURNED = (5, 6, 7, 8)  # by a quarter: height and width change places
_WHITE = (255, 255, 255, 255)


def decode(path: Path, sha256: str | None = None) -> Image.Image:
    """Read an image file as `as_rgb` gives it; of an animation the first picture.

    Args:
        path: the file.
        sha256: of the file, hexadecimal, if it must be that one.

    Raises:
        UserError: missing, no image, cut short, or another file; names the path.
    """
    source = path if sha256 is None else _unchanged(path, sha256)
    with _naming_unreadable(path), Image.open(source) as image:
        return as_rgb(image)


def as_rgb(image: Image.Image) -> Image.Image:
    """Return an image as a viewer shows it, in RGB.

    EXIF orientation is applied, what is transparent is shown on white, 16 bits become 8.

    Raises:
        ValueError: its values are floats, whose range nobody knows.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, _WHITE), clear).convert("RGB")
    return _eight_bits(upright).convert("RGB")


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height, upright, from the file's header, without decoding the pixels.

    Raises:
        UserError: as `decode`.
    """
    with _naming_unreadable(path), Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION) in _TURNED
        return (height, width) if turned else (width, height)


def time_taken(path: Path) -> float:
    """Return DateTimeOriginal, seconds since the beginning of 1970 by the camera's clock, or NaN.

    The zone is not read: some cameras write it and some do not, and the clocks of cameras need not
    agree.

    Raises:
        UserError: as `decode`.
    """
    with _naming_unreadable(path), Image.open(path) as image:
        tags = image.getexif().get_ifd(_EXIF_FOLDER)
    written = str(tags.get(_TAKEN, "")).strip("\0 ")
    digits = str(tags.get(_SUBSECOND, "")).strip("\0 ")
    try:
        when = datetime.strptime(written, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:  # none, or 0000:00:00 00:00:00 as of a clock that was never set
        return math.nan
    return when.timestamp() + (float(f"0.{digits}") if digits.isdecimal() else 0.0)


def resize(image: Image.Image, height: int, width: int) -> np.ndarray:
    """Return the bicubic resize as uint8 (height, width, 3)."""
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.uint8)


def _unchanged(path: Path, sha256: str) -> io.BytesIO:
    """Return the bytes of a file: those that are compared are those that are decoded."""
    with _naming_unreadable(path):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(
            f"Image {path} is not the file that was indexed: it was changed. Run the stage index "
            "again."
        )
    return io.BytesIO(content)


@contextmanager
def _naming_unreadable(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with an image file into a sentence."""
    try:
        if path.exists() and not path.is_file():
            raise ValueError("no regular file")  # reading a pipe would wait for ever
        yield
    except FileNotFoundError:
        raise UserError(f"Image {why_no_file(path)}.") from None
    except Exception as error:  # a damaged file can raise anything in Pillow's many readers
        raise UserError(
            f"Image {path} cannot be read ({error or type(error).__name__}). Remove or replace it, "
            "or have such images left out (data.on_bad_image: skip; --skip-unreadable)."
        ) from None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of 16 bits a value with 8; Pillow would cut the values off at 255."""
    if image.mode == "F":
        raise ValueError("its values are floats, of unknown range")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray((values.clip(0, 65535) // 257).astype(np.uint8))


def require_inside(root: Path, paths: Sequence[str], config: Config) -> None:
    """Check that no image lies outside of the folder of its data set, unless that is allowed.

    Args:
        root: the folder.
        paths: of the images, relative to it or absolute.
        config: `data.allow_outside` is read.

    Raises:
        UserError: one lies outside.
    """
    found = [] if config.data.allow_outside else [path for path in paths if _outside(path)]
    if found:
        raise UserError(
            f"'{found[0]}' lies outside of {root} ({len(found)} of {len(paths)} images do). If "
            "they are meant to be read, set data.allow_outside to true."
        )


def _outside(path: str) -> bool:
    """Tell whether a path relative to a folder leads out of it."""
    return os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir
