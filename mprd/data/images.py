"""Read image files and resize them, once. docs/explanation/reliability.md lists odd files."""

import errno
import functools
import hashlib
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from mprd.artifacts import Artifact
from mprd.config import Config
from mprd.data.leaving_out import or_left_out
from mprd.data.room import Room
from mprd.errors import UserError, why_no_file

ImageFile.LOAD_TRUNCATED_IMAGES = False
# A picture takes up to 20 bytes a pixel until it is RGB: all threads together at most 1.3 GB.
MOST_PIXELS = 2**26
Image.MAX_IMAGE_PIXELS = None  # the limit above holds in place of Pillow's
# glibc gives freed blocks above 32 MiB back; smaller ones each thread keeps to itself.
Image.core.set_block_size(2**26)
# Others start interpreters (EPS), or are no pictures.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "AVIF")
FULL_BITS = 16
_MOST_SCANS = 500  # of a JPEG; encoders write some ten
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
_HARDLY, _SAMPLE = (0.1, 99.9), 100_000  # percent, and values that are looked at

_ORIENTATION = 0x0112  # EXIF
_EXIF_FOLDER, _TAKEN, _SUBSECOND = 0x8769, 0x9003, 0x9291  # DateTimeOriginal
_TURNED = (5, 6, 7, 8)  # by a quarter: height and width change places
_WHITE = (255, 255, 255, 255)
# What fails for another reason than the file: to leave out such an image would be wrong.
_NOT_ITS_FAULT = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE, errno.ENOMEM)


def decode(path: Path, sha256: str | None = None, bits: int = FULL_BITS) -> Image.Image:
    """Read an image file as `as_rgb` gives it; of an animation the first picture.

    Threads that decode share `MOST_PIXELS`: one waits until there is room for its picture.

    Args:
        path: the file.
        sha256: of the file, hexadecimal, if it must be that one.
        bits: that values of 16 bits use.

    Raises:
        UserError: missing, no image, cut short, of more than `MOST_PIXELS` pixels, or another file;
            names the path.
    """
    with decoded(path, sha256, bits) as image:
        return image


def resized(
    path: Path, height: int, width: int, sha256: str | None = None, bits: int = FULL_BITS
) -> np.ndarray:
    """Return an image file as `resize` does, with room for it until it is small; see `decode`."""
    with decoded(path, sha256, bits) as image:
        return resize(image, height, width)


@contextmanager
def decoded(path: Path, sha256: str | None = None, bits: int = FULL_BITS) -> Iterator[Image.Image]:
    """Yield an image file as `decode` returns it, and hold the room that it takes meanwhile."""
    source = path if sha256 is None else _unchanged(path, sha256)
    with _opened(path, source) as image:
        _require_few_scans(image)
        yield as_rgb(image, bits)


def as_rgb(image: Image.Image, bits: int = FULL_BITS) -> Image.Image:
    """Return an image as a viewer shows it, in RGB.

    EXIF orientation is applied, what is transparent is shown on white, 16 bits become 8.

    Args:
        image: of any mode.
        bits: that values of 16 bits use: 12 if white is 4095.

    Raises:
        ValueError: its values are floats, whose range nobody knows.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", clear.size, _WHITE), clear).convert("RGB")
    return _eight_bits(upright, bits).convert("RGB")


class DeepRange(NamedTuple):
    """Which values an image of 16 bits or more holds.

    Attributes:
        bits: that the largest value needs.
        low: value below which there is hardly one.
        high: value above which there is hardly one.
    """

    bits: int
    low: int
    high: int


def deep_range(path: Path) -> DeepRange | None:
    """Return which values an image of 16 bits holds; None for any other image.

    Raises:
        UserError: as `decode`.
    """
    with _opened(path) as image:
        # Of colours Pillow keeps the upper 8 bits.
        upper = any("16" in str(tile[3]) for tile in image.tile) and image.mode.startswith("RGB")
        if not upper and not image.mode.startswith("I"):
            return None
        return _range(np.asarray(image).reshape(-1), upper=upper)


def _range(values: np.ndarray, *, upper: bool) -> DeepRange:
    few = values[:: len(values) // _SAMPLE + 1]
    low, high = np.percentile(few, _HARDLY, method="closest_observation").tolist()
    scale = 256 if upper else 1
    largest = int(values.max())
    return DeepRange(largest.bit_length() + (8 if upper else 0), low * scale, high * scale)


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height, upright, from the file's header, without decoding the pixels.

    Raises:
        UserError: as `decode`.
    """
    with _opened(path) as image:
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
    with _opened(path) as image:
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
def _opened(path: Path, source: Path | io.BytesIO | None = None) -> Iterator[ImageFile.ImageFile]:
    """Open an image file of a documented format, whose size is within bounds.

    There is room for its pixels: reading the EXIF of a PNG decodes them, too.
    """
    with (
        _naming_unreadable(path),
        Image.open(path if source is None else source, formats=_formats()) as image,
    ):
        pixels = image.width * image.height
        if pixels > MOST_PIXELS:
            raise ValueError(
                f"it has {pixels / 1e6:,.0f} megapixels, at most {MOST_PIXELS / 1e6:.0f} are read"
            )
        with _room.of(pixels):
            yield image
            image.close()  # its pixels go before their room does


def _require_few_scans(image: ImageFile.ImageFile) -> None:
    """Refuse a JPEG of so many scans that a small file takes minutes: each goes over all pixels."""
    if image.format not in ("JPEG", "MPO") or image.fp is None:
        return
    here = image.fp.tell()
    image.fp.seek(0)
    scans = len(_SCAN.findall(image.fp.read()))
    image.fp.seek(here)
    if scans > _MOST_SCANS:
        raise ValueError(f"it has {scans:,} scans, at most {_MOST_SCANS} are read")


@functools.cache
def _formats() -> tuple[str, ...]:
    """Return the formats that this Pillow can read of those that are documented."""
    Image.init()
    return tuple(one for one in _FORMATS if one in Image.OPEN)


_room = Room(MOST_PIXELS)


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
        if isinstance(error, OSError) and error.errno in _NOT_ITS_FAULT:
            error.filename = error.filename or os.fspath(path)  # Pillow's reads name none
            raise
        why = str(error) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):
            why = f"it is none of {', '.join(_formats())}, whatever its name"
        remedy = f"Remove or replace it{or_left_out('such images')}"
        raise UserError(f"Image {path} cannot be read ({why}). {remedy}") from None


def _eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """Return an image of 16 bits a value with 8; Pillow would cut the values off at 255."""
    if image.mode == "F":
        raise ValueError("its values are floats, of unknown range")
    if not image.mode.startswith("I"):
        return image
    white = 2**bits - 1
    values = np.asarray(image).clip(0, white).astype(np.uint32)
    return Image.fromarray((values * 255 // white).astype(np.uint8))


def indexed_images(index: Artifact, config: Config) -> list[Path]:
    """Return the image files of an index; whoever opens one takes its path from here.

    Args:
        index: with the array `path`.
        config: of its run; `data.allow_outside` is read.

    Raises:
        UserError: one lies outside of the folder of the data set.
    """
    root, paths = Path(str(index.attributes["root"])), index["path"].tolist()
    require_inside(root, paths, config)
    return [root / path for path in paths]


def require_inside(root: Path, paths: Sequence[str], config: Config) -> None:
    """Check that no image lies outside of the folder of its data set, unless that is allowed.

    Args:
        root: the folder.
        paths: of the images, relative to it or absolute.
        config: `data.allow_outside` is read.

    Raises:
        UserError: one lies outside.
    """
    found = [] if config.data.allow_outside else [path for path in paths if lies_outside(path)]
    if found:
        raise UserError(
            f"'{found[0]}' lies outside of {root} ({len(found)} of {len(paths)} images do). If "
            "they are meant to be read, set data.allow_outside to true."
        )


def lies_outside(path: str) -> bool:
    """Tell whether a path relative to a folder leads out of it."""
    return os.path.isabs(path) or os.path.normpath(path).split(os.sep)[0] == os.pardir
