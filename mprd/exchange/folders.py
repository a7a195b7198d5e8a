"""A folder for each identity, with links to its images or copies of them."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mprd.errors import UserError, many
from mprd.exchange.identified import Identified

OUTLIERS = "_outliers"
_ALLOWED = " ._-+()"
_LONGEST = 100  # characters; a file name has 255 bytes


def write_folders(found: Identified, out: Path, *, copy: bool) -> str:
    """Make a folder for each identity, and one for images in no cluster.

    Args:
        found: images and their identities.
        out: an empty folder.
        copy: copies of the images; else links to them.

    Returns:
        What to do with it.

    Raises:
        UserError: an image is missing, or there can be no links.
    """
    identities = ["", *found.identities]
    folders = dict(zip(identities, different([OUTLIERS, *identities[1:]]), strict=True))
    names = different(one.path.replace("/", "__") for one in found.sightings)
    for one, name in zip(found.sightings, names, strict=True):
        target = out / folders[one.identity] / name
        target.parent.mkdir(exist_ok=True)
        if not one.file.is_file():
            raise UserError(f"{one.file} is missing: the images of the run were moved or removed.")
        if copy:
            shutil.copyfile(one.file, target)
            continue
        try:
            target.symlink_to(os.path.abspath(one.file))
        except OSError as error:
            raise UserError(
                f"{target} cannot be a link ({error.strerror}). Add --copy, which copies images."
            ) from None
    kind = "copies" if copy else "links"
    return f"{many(len(folders) - 1, 'folder')}, one for each identity, with {kind} of its images"


def different(names: Iterable[str]) -> Iterator[str]:
    """Yield names that file systems accept, each another one, also where case does not count.

    Example:
        >>> list(different(["a/b.jpg", "A_b.jpg", ".."]))
        ['a_b.jpg', 'A_b~2.jpg', '_']
    """
    taken = set[str]()
    for name in names:
        plain = "".join(c if c.isalnum() or c in _ALLOWED else "_" for c in name)
        plain = plain.strip(" .") or "_"
        stem, dot, end = plain.rpartition(".")
        stem, end = (stem, dot + end) if dot and len(end) < 6 else (plain, "")
        stem = stem[:_LONGEST]
        number, made = 1, f"{stem}{end}"
        while made.casefold() in taken:
            number += 1
            made = f"{stem}~{number}{end}"
        taken.add(made.casefold())
        yield made
