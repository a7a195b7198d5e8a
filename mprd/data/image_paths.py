"""Image files that a user names: one, several, or folders of them."""

import sys
from collections.abc import Iterable
from pathlib import Path

from mprd.data.datasets import read_dataset
from mprd.data.images import decode
from mprd.errors import UserError, why_no_file


def image_paths(source: str | Path | Iterable[str | Path]) -> list[Path]:
    """Return image files: a file as it is, of a folder all images in it, nested ones too, sorted.

    Args:
        source: a file, a folder, or several of them.

    Raises:
        UserError: one does not exist, or a folder holds no images.
    """
    sources = [source] if isinstance(source, str | Path) else source
    found: list[Path] = []
    for path in map(Path, sources):
        if path.is_dir():
            found += [path / record.path for record in read_dataset("folder", path).records]
        elif path.is_file():
            found.append(path)
        else:
            raise UserError(f"{why_no_file(path)}: it is neither an image nor a folder of images.")
    return found


def readable(paths: Iterable[Path]) -> list[Path]:
    """Return the images that can be decoded; of the others there is a note each.

    Args:
        paths: image files.

    Raises:
        UserError: none can.
    """
    found = []
    for path in paths:
        try:
            decode(path)
        except UserError as error:
            print(f"note: left out. {error}", file=sys.stderr)
        else:
            found.append(path)
    if not found:
        raise UserError("None of the images can be read.")
    return found
