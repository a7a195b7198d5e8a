"""The user's own images: a folder of unlabelled crops, or a manifest that labels them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from mprd.data.datasets import manifest
from mprd.data.datasets.base import ImageRecord, Listing
from mprd.data.datasets.registry import reader
from mprd.data.datasets.walk import walk
from mprd.errors import UserError, many

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jfif", ".bmp"),
    *(".webp", ".tif", ".tiff", ".gif", ".avif"),
)
_KINDS = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
_NAMED = 8  # kinds of files that are no images


@reader(
    tree=f"""
        a folder of images, nested or not ({_KINDS})
        or a manifest, .csv or .parquet, with the columns
        path[,split][,identity][,camera][,time or frame][,track][,side]
    """,
)
def read_folder(root: Path) -> Listing:
    """List a folder of crops, all of them train images, or a manifest file."""
    return read_crops(root) if root.is_dir() else manifest.read_manifest(root)


def read_crops(root: Path) -> Listing:
    """List a folder of crops, all of them train images; a note says what is no image.

    Raises:
        UserError: there are no images.
    """
    tree = walk(root)
    found = [path for path in tree.files if is_image(path)]
    others = [path for path in tree.files if not is_image(path)]
    notes = tuple(_notes(tree.links, tree.runs, others))
    if not found and not tree.unlisted:
        raise UserError(
            f"There are no images ({_KINDS}) in {root}: name the folder that holds your images."
            + "".join(f" {note}" for note in notes)
        )
    records = tuple(ImageRecord(Path(path).as_posix(), "train") for path in found)
    return Listing(root, records, notes, unlisted=tree.unlisted)


def is_image(path: str) -> bool:
    """Tell by the suffix whether a file counts as an image."""
    return path.lower().endswith(IMAGE_SUFFIXES)


def _notes(links: Sequence[str], runs: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    if links:
        yield (
            f"{many(len(links), 'folder is a link', 'folders are links')}, first "
            f"'{links[0]}': not followed. Name what they lead to, or list the images in a manifest."
        )
    if runs:
        hold = many(len(runs), "folder holds", "folders hold")
        yield f"{hold} results of mprd, first '{runs[0]}': left out."
    if others:
        kinds = Counter(Path(path).suffix.lower() or "without a suffix" for path in others)
        named = [f"{count:,} {kind}" for kind, count in kinds.most_common(_NAMED)]
        rest = len(others) - sum(count for _, count in kinds.most_common(_NAMED))
        named += [f"{rest:,} of other kinds"] if rest else []
        yield (
            f"{many(len(others), 'file is', 'files are')} not read ({', '.join(named)}), first "
            f"'{others[0]}': "
            f"images are {_KINDS}."
        )
