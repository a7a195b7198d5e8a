"""Cameras, times, tracks and sides that are written in the paths of images."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from mprd.data.datasets.base import Listing, known_side, numbered
from mprd.data.datasets.clock import FRAMES, SECONDS, by_format, number
from mprd.errors import UserError, many


def with_cameras(listing: Listing, pattern: str) -> Listing:
    """Return a listing with the cameras that a pattern finds in the paths.

    Args:
        listing: of images without cameras.
        pattern: regular expression with one group, the camera's name; looked for anywhere in the
            path relative to the root.

    Raises:
        UserError: it fits no path.
    """
    paths = [record.path for record in listing.records]
    found = cameras_in_paths(pattern, paths)
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
    notes = (*listing.notes, *second_cameras(pattern, paths))
    return replace(listing, records=records, camera_names=names, notes=notes)


def cameras_in_paths(pattern: str, paths: Sequence[str]) -> list[str | None]:
    """Return the camera that a pattern finds in each path, None where it fits nowhere."""
    matches = (re.search(pattern, path) for path in paths)
    return [None if match is None else match[1] for match in matches]


def second_cameras(pattern: str, paths: Sequence[str]) -> list[str]:
    """Return a note if a pattern finds two different cameras in a path: the first counts."""
    found = [[match[1] for match in re.finditer(pattern, path)] for path in paths]
    twice = [n for n, names in enumerate(found) if len(set(names)) > 1]
    if not twice:
        return []
    first = twice[0]
    counts, other = list(dict.fromkeys(found[first]))[:2]
    return [
        f"{many(len(twice), 'path names', 'paths name')} two cameras, first '{paths[first]}': "
        f"'{counts}' counts, "
        f"not '{other}'. If that is wrong, give data.camera a pattern that fits the other place "
        "only, "
        r"such as one that ends in '[^/]*$' for the name of the file."
    ]


def with_times(listing: Listing, pattern: str, form: str) -> Listing:
    """Return a listing with the times that a pattern finds in the paths.

    Args:
        listing: of images.
        pattern: regular expression, looked for anywhere in the path relative to the root. Its
            groups, joined by `/`, are the time.
        form: frames, seconds, or a format of `strptime`.

    Raises:
        UserError: it fits no path, or what it finds is not written so.
    """
    found = _found(listing, pattern, "data.time")
    times = [
        math.nan if text is None else _time(text, form, record.path)
        for record, text in zip(listing.records, found, strict=True)
    ]
    records = tuple(
        replace(record, time=time) for record, time in zip(listing.records, times, strict=True)
    )
    return replace(listing, records=records, time_unit=FRAMES if form == FRAMES else SECONDS)


def time_in_path(path: str, pattern: str, form: str) -> float:
    """Return the time that a pattern finds in a path, NaN if it fits nowhere; as `with_times`.

    Raises:
        UserError: what it finds is not written so.
    """
    text = _text(re.search(pattern, path))
    return math.nan if text is None else _time(text, form, path)


def track_in_path(path: str, pattern: str) -> str:
    """Return the name of the track that a pattern finds in a path, "" if it fits nowhere."""
    return _text(re.search(pattern, path)) or ""


def with_tracks(listing: Listing, pattern: str) -> Listing:
    """Return a listing with the tracks that a pattern finds in the paths.

    Args:
        listing: of images.
        pattern: regular expression as for times; its groups, joined by `/`, name the track.

    Raises:
        UserError: it fits no path.
    """
    found = _found(listing, pattern, "data.track")
    records = tuple(
        replace(record, track=text or "")
        for record, text in zip(listing.records, found, strict=True)
    )
    return replace(listing, records=records)


def with_sides(listing: Listing, pattern: str) -> Listing:
    """Return a listing with the sides that a pattern finds in the paths.

    Args:
        listing: of images.
        pattern: regular expression with one group, the side; `unknown` is no side.

    Raises:
        UserError: it fits no path.
    """
    found = _found(listing, pattern, "data.side")
    records = tuple(
        replace(record, side=known_side(text or ""))
        for record, text in zip(listing.records, found, strict=True)
    )
    return replace(listing, records=records)


def side_in_path(path: str, pattern: str) -> str:
    """Return the side that a pattern finds in a path, "" if it fits nowhere."""
    return known_side(_text(re.search(pattern, path)) or "")


def _found(listing: Listing, pattern: str, key: str) -> list[str | None]:
    """Return what the groups of a pattern find in each path, joined by `/`."""
    matches = [re.search(pattern, record.path) for record in listing.records]
    if not any(matches):
        raise UserError(
            f"{key}: {pattern!r} fits no path in {listing.root}, such as "
            f"'{listing.records[0].path}'. Fix the pattern, or leave it out."
        )
    return [_text(match) for match in matches]


def _text(match: re.Match[str] | None) -> str | None:
    return None if match is None else "/".join(one or "" for one in match.groups())


def _time(text: str, form: str, path: str) -> float:
    try:
        return number(text, form) if form in (FRAMES, SECONDS) else by_format(text, form)
    except ValueError as error:
        why = f"which {error}" if form in (FRAMES, SECONDS) else f"which does not fit {form!r}"
        raise UserError(
            f"data.time finds '{text}' in the path '{path}', {why}. Fix data.time, or "
            "data.time_format: frames, seconds, or a strptime format such as '%Y%m%d_%H%M%S'."
        ) from None
