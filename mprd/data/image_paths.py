"""Image files that a user names: one, several, or folders of them."""

from collections.abc import Iterable
from pathlib import Path

from mprd.data.datasets import read_dataset
from mprd.errors import UserError


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
            raise UserError(f"{path} is neither an image nor a folder of images.")
    return found
