"""The user's own images: a folder of unlabelled crops, or a manifest that labels them."""

import os
from pathlib import Path

from mprd.data.datasets import manifest
from mprd.data.datasets.base import ImageRecord, Listing, is_litter
from mprd.data.datasets.registry import reader
from mprd.errors import UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


@reader(
    tree="""
        a folder of images, nested or not (png, jpg, jpeg, bmp, webp)
        or a manifest, .csv or .parquet, with the columns
        path[,split][,identity][,camera][,time or frame][,track]
    """,
)
def read_folder(root: Path) -> Listing:
    """List a folder of crops, all of them train images, or a manifest file."""
    return _read_crops(root) if root.is_dir() else manifest.read_manifest(root)


def _read_crops(root: Path) -> Listing:
    records, others, links = [], [], []
    for parent, folders, files in os.walk(root):
        links += [name for name in folders if (Path(parent) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if not is_litter(name))
        for name in sorted(name for name in files if not is_litter(name)):
            path = (Path(parent) / name).relative_to(root).as_posix()
            if path.lower().endswith(IMAGE_SUFFIXES):
                records.append(ImageRecord(path, "train"))
            else:
                others.append(path)
    kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
    notes = []
    if links:
        notes.append(
            f"{len(links)} folders are links, first '{links[0]}': not followed. Name what they "
            "lead to, or list the images in a manifest."
        )
    if not records:
        raise UserError(
            f"There are no images ({kinds}) in {root}: name the folder that holds your images."
            + "".join(f" {note}" for note in notes)
        )
    if others:
        notes.append(f"{len(others)} files are no images ({kinds}), first '{others[0]}': left out.")
    return Listing(root, tuple(records), tuple(notes))
