"""Times and tracks as they are commonly written in the paths of images."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mprd.data.datasets.clock import FRAMES, SECONDS, by_format, number

_CLEAR = 0.9  # share of the paths that a pattern must fit
_SAMPLE = 1000  # paths that a pattern is tried on first
_EARLIEST, _LATEST = 631_152_000, 4_102_444_800  # 1990 and 2100, in seconds since 1970
_WHOLE = (r"(?<!\d)", r"(?!\d)")  # no part of a longer number
_NO_HALF = r"(?!\d|[ _.-]?[AaPp][Mm](?![A-Za-z]))"  # nor half of the day, as in 08.15.02 PM
_HOUR, _DAY = 3600, 86_400  # seconds
IN_NAME = "[^/]*$"  # behind a pattern: it must fit the name of the file
# Identity folders (id_0007, person_3) are no tracks.
_TRACKS = (
    r"(?:^|[/_.-])((?:tracklet|track|trk|tid)(?:[_-]?id)?[_-]?\d+)",  # track_12/1.jpg, x_tid7_1.jpg
    r"(?:^|/)track(?:let)?s/(\w+)/",  # tracks/12/1.jpg
)


@dataclass(frozen=True)
class TimeShape:
    """How times are written in paths.

    Attributes:
        pattern: `data.time`.
        form: `data.time_format`.
    """

    pattern: str
    form: str


def guess_times(paths: Sequence[str]) -> TimeShape | None:
    """Return the first shape that finds times in nearly all paths, and at least two different ones.

    Args:
        paths: posix paths, relative to the root.
    """
    some = paths[:: max(1, len(paths) // _SAMPLE)]
    for shape in _shapes():
        if not _fits(shape, some) or not _fits(shape, paths):
            continue
        found = [_time(shape, path) for path in paths]
        named = TimeShape(f"{shape.pattern}{IN_NAME}", shape.form)
        if _fits(named, paths):
            times = [_time(named, path) for path in paths]
            if times != found:  # a folder has the time of an export, or of a copy
                shape, found = named, times
        elif shape.form == SECONDS:  # the number of a folder
            continue
        if _is_counter(shape, found):
            continue
        if len(set(found) - {None}) > 1:  # not one for all
            pattern = shape.pattern
            for around in (*_WHOLE, _NO_HALF):
                pattern = pattern.replace(around, "")
            plain = TimeShape(pattern, shape.form)
            same = _fits(plain, paths) and [_time(plain, path) for path in paths] == found
            return plain if same else shape
    return None


def guess_tracks(paths: Sequence[str], camera: str | None) -> str | None:
    """Return a pattern that finds tracks in nearly all paths, most of them with several images.

    Cameras often number their tracks each from 1: then the pattern finds the camera, too.

    Args:
        paths: posix paths, relative to the root.
        camera: pattern that finds the cameras, or None.
    """
    for shape in _TRACKS:
        track = _plain(f"(?i){shape}", paths)
        patterns = [track, *([_joined(camera, track), _joined(track, camera)] if camera else [])]
        for pattern in patterns:
            found = [match.groups() for path in paths if (match := re.search(pattern, path))]
            clear = len(found) >= _CLEAR * len(paths) and 1 < len(set(found)) <= len(found) / 2
            if clear and not (camera and _spans_cameras(pattern, camera, paths)):
                return pattern
    return None


def _shapes() -> Iterator[TimeShape]:
    """Yield the shapes, those that say most first."""
    before, after = _WHOLE
    for day in ("", "-", "_"):
        date = _digits(4, 2, 2, between=day)
        for joint in ("T", "_", "-", " ", "__"):
            for part in ("", "-", ":", ".", "_"):
                clock = _digits(2, 2, 2, between=part)
                form = f"%Y{day}%m{day}%d{joint}%H{part}%M{part}%S"
                zone = "[+-]" if joint == "T" else r"\+"  # elsewhere -0001 may be a counter
                zoned = rf"{before}({date}{joint}{clock}{zone}\d{{2}}:?\d{{2}}){after}"
                yield TimeShape(zoned, f"{form}%z")
                for space in ("", " ", "_"):
                    half = rf"{before}({date}{joint}{clock}{space}[AaPp][Mm])(?![A-Za-z])"
                    yield TimeShape(half, f"{form.replace('%H', '%I')}{space}%p")
                yield TimeShape(rf"{before}({date}{joint}{clock}){_NO_HALF}", form)
                if not part:  # milliseconds
                    yield TimeShape(rf"{before}({date}{joint}{clock})\d{{3}}{after}", form)
    yield TimeShape(rf"{before}(\d{{14}}){_NO_HALF}", "%Y%m%d%H%M%S")
    yield TimeShape(rf"{before}(\d{{14}})\d{{3}}{after}", "%Y%m%d%H%M%S")
    for day in ("", "-", "_"):  # the day is a folder
        for part in ("", "-", "_"):
            date, clock = _digits(4, 2, 2, between=day), _digits(2, 2, 2, between=part)
            form = f"%Y{day}%m{day}%d/%H{part}%M{part}%S"
            yield TimeShape(rf"{before}({date})/(?:.*/)?[^/]*?{before}({clock}){_NO_HALF}", form)
    yield TimeShape(rf"{before}((?:1\d{{9}}|20\d{{8}})(?:\.\d+)?){after}", SECONDS)
    yield TimeShape(r"[Ff]rame[_-]?(\d+)", FRAMES)
    yield TimeShape(r"(?:^|[/_-])f(\d{3,})", FRAMES)


def _is_counter(shape: TimeShape, found: Sequence[float | None]) -> bool:
    """Tell whether images of a day are numbered: 000123 would be two minutes after midnight."""
    known = [time for time in found if time is not None]
    return "/" in shape.form and all(time % _DAY < _HOUR for time in known)


def _digits(*counts: int, between: str) -> str:
    """Return a pattern for groups of digits, with one character or nothing between them."""
    if not between:
        return rf"\d{{{sum(counts)}}}"
    return (r"\." if between == "." else between).join(rf"\d{{{count}}}" for count in counts)


def _fits(shape: TimeShape, paths: Sequence[str]) -> bool:
    """Tell whether a shape finds times in nearly all paths, and nothing else in the others."""
    try:
        fitting = sum(_time(shape, path) is not None for path in paths)
    except ValueError:  # the 99th of May: digits that are no date
        return False
    return fitting >= _CLEAR * len(paths)


def _time(shape: TimeShape, path: str) -> float | None:
    """Return the time that a shape finds in a path, None if there is none of these decades.

    Raises:
        ValueError: what it finds is no time.
    """
    match = re.search(shape.pattern, path)
    if match is None:
        return None
    text = "/".join(match.groups())
    if shape.form == FRAMES:
        return number(text, FRAMES)
    time = number(text, SECONDS) if shape.form == SECONDS else by_format(text, shape.form)
    return time if _EARLIEST < time < _LATEST else None


def _plain(track: str, paths: Sequence[str]) -> str:
    """Return a pattern that a person would write for what another one finds in the paths."""
    found = [match[1] if (match := re.search(track, path)) else None for path in paths]
    word = next((one.rstrip("0123456789") for one in found if one), "")
    plain = rf"({word}\d+)"
    same = all(
        one == (match[1] if (match := re.search(plain, path)) else None)
        for one, path in zip(found, paths, strict=True)
    )
    return plain if word and same else track


def _joined(first: str, second: str) -> str:
    """Return a pattern that finds one after the other in a path."""
    ignoring_case = "(?i)" if "(?i)" in (first[:4], second[:4]) else ""
    return f"{ignoring_case}{first.removeprefix('(?i)')}.*?{second.removeprefix('(?i)')}"


def _spans_cameras(pattern: str, camera: str, paths: Sequence[str]) -> bool:
    """Tell whether images of two cameras are in one track."""
    cameras: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in paths:
        track, name = re.search(pattern, path), re.search(camera, path)
        if track and name:
            cameras[track.groups()].add(name[1])
    return any(len(names) > 1 for names in cameras.values())
