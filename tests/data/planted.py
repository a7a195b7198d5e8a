"""Files that tests of readers put into a folder."""

from pathlib import Path

from PIL import Image

from mprd.data.datasets import Listing, read_dataset


def plant(root: Path, *paths: str) -> Path:
    """Make empty files."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def plant_images(root: Path, *paths: str) -> Path:
    """Make small images."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 8)).save(root / path)
    return root


def times(listing: Listing) -> dict[str, float]:
    """Path -> time."""
    return {record.path: record.time for record in listing.records}


def manifest(root: Path, text: str) -> Listing:
    """Read a manifest of the images a.png to d.png."""
    plant_images(root, *(f"{letter}.png" for letter in "abcd"))
    (root / "m.csv").write_text(text)
    return read_dataset("folder", root / "m.csv")
