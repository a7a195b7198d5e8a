"""Image files that a user names: one, several, or folders of them."""

import sys
from collections.abc import Iterable
from pathlib import Path

from mprd.data.datasets.base import without_unlisted
from mprd.data.datasets.folder import read_crops
from mprd.data.images import decode
from mprd.errors import UserError, say, why_no_file


def image_paths(
    source: str | Path | Iterable[str | Path], *, skip_unlisted: bool = False
) -> list[Path]:
    """Return image files: a file as it is, of a folder all images in it, nested ones too, sorted.

    Files of a folder that are not read, and folders that are not followed, are told in notes.

    Args:
        source: a file, a folder, or several of them.
        skip_unlisted: leave out folders that cannot be listed, with a note.

    Raises:
        UserError: one does not exist, a folder holds no images, or one in it cannot be listed.
    """
    sources = [source] if isinstance(source, str | Path) else source
    found: list[Path] = []
    for path in map(Path, sources):
        if path.is_dir():
            listing = without_unlisted(read_crops(path), skip=skip_unlisted)
            for note in listing.notes:
                say(f"note: {path}: {note}", file=sys.stderr)
            found += sorted(path / record.path for record in listing.records)
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
            say(f"note: left out. {error}", file=sys.stderr)
        else:
            found.append(path)
    if not found:
        raise UserError("None of the images can be read.")
    return found


def named_images(
    sources: Iterable[Path], *, skip_unreadable: bool = False
) -> list[tuple[Path, Path]]:
    """Return image files as `image_paths`, each with the path in which patterns are looked for.

    As in a run that is the path below the folder that was named; of a file it is all that was
    named.

    Args:
        sources: files or folders.
        skip_unreadable: leave out what cannot be decoded, with a note.

    Raises:
        UserError: as `image_paths`; none can be decoded.
    """
    named = [
        (path, path.relative_to(source) if source.is_dir() else path)
        for source in sources
        for path in image_paths(source, skip_unlisted=skip_unreadable)
    ]
    if not skip_unreadable:
        return named
    whole = set(readable([path for path, _ in named]))
    return [one for one in named if one[0] in whole]
