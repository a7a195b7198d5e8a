"""Cameras that are written in the paths of images."""

import re
from collections.abc import Iterable
from dataclasses import replace

from mprd.data.datasets.base import Listing
from mprd.errors import UserError


def with_cameras(listing: Listing, pattern: str) -> Listing:
    """Return a listing with the cameras that a pattern finds in the paths.

    Args:
        listing: of images without cameras.
        pattern: regular expression with one group, the camera's name; looked for anywhere in the
            path relative to the root.

    Raises:
        UserError: it fits no path.
    """
    found = [_name(pattern, record.path) for record in listing.records]
    names = numbered(name for name in found if name is not None)
    if not names:
        raise UserError(
            f"data.camera: {pattern!r} fits no path in {listing.root}, such as "
            f"'{listing.records[0].path}'. Fix the pattern, or leave it out."
        )
    records = tuple(
        replace(record, camera=-1 if name is None else names.index(name))
        for record, name in zip(listing.records, found, strict=True)
    )
    return replace(listing, records=records, camera_names=names)


def numbered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names in order: numbers inside them count as numbers."""
    return tuple(sorted(set(names), key=_natural))


def _name(pattern: str, path: str) -> str | None:
    match = re.search(pattern, path)
    return None if match is None else match[1]


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]
