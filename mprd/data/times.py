"""Times of images: their range in each camera, and what looks wrong with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from mprd.errors import many

_YEAR = 365.25 * 86_400  # seconds
_DATES = 10 * _YEAR  # seconds above this are dates, not times since some start
_FAR = 2e11  # and from here on, no dates that Python knows
_FEW = 5  # images of a camera that may well be of one moment


@dataclass(frozen=True)
class TimeRange:
    """The times of one camera.

    Attributes:
        camera: its number, -1: images whose camera is unknown.
        name: of the camera.
        images: of the camera.
        timed: those with a time.
        first: the earliest time, NaN if there is none.
        last: the latest.
    """

    camera: int
    name: str
    images: int
    timed: int
    first: float
    last: float


def time_ranges(
    time: np.ndarray, camera: np.ndarray, camera_names: Sequence[str] = ()
) -> list[TimeRange]:
    """Return the range of times of each camera that has images, in the order of the cameras.

    Args:
        time: float64 (n,), NaN unknown.
        camera: int (n,), -1 unknown.
        camera_names: of the cameras 0, 1, ...; empty: they are called by their numbers from 1.
    """
    ranges = []
    for one in np.unique(camera):
        mine = time[camera == one]
        known = mine[np.isfinite(mine)]
        name = "unknown" if one < 0 else camera_names[one] if camera_names else str(one + 1)
        first, last = (known.min(), known.max()) if len(known) else (np.nan, np.nan)
        ranges.append(TimeRange(int(one), name, len(mine), len(known), float(first), float(last)))
    return ranges


def time_notes(
    time: np.ndarray, camera: np.ndarray, *, unit: str, camera_names: Sequence[str] = ()
) -> list[str]:
    """Return a sentence for each thing about the times that looks like a mistake.

    Clocks of cameras need not agree, so a difference between cameras of up to a year is told only
    if their times do not overlap.

    Args:
        time: float64 (n,), NaN unknown.
        camera: int (n,), -1 unknown.
        unit: of the times: seconds, frames, or "" without times.
        camera_names: of the cameras 0, 1, ...; empty: they are called by their numbers from 1.
    """
    known = time[np.isfinite(time)]
    if not len(known):
        return []
    if len(time) > 1 and len(known) == len(time) and known.min() == known.max():
        return [
            f"Warning: all images have one time ({time_words(known[0], unit)}), which says "
            "nothing. Let data.time (or the manifest) give the time of each image."
        ]
    ranges = time_ranges(time, camera, camera_names)
    unset = _of_1970(time, unit)
    return [
        *_missing(ranges, len(time) - len(known), len(time)),
        *_not_set(ranges, camera, unset),
        *_stuck(ranges, camera, unset, unit),
        *_apart(time_ranges(np.where(unset, np.nan, time), camera, camera_names), unit),
    ]


def is_date(time: np.ndarray) -> np.ndarray:
    """Return which times in seconds count from 1970, bool; the others count from any start."""
    return (time > _DATES) & (time < _FAR)


def iso_time(time: float, unit: str) -> str:
    """Return a time for programs: `YYYY-MM-DDThh:mm:ssZ`, else the number; "" unknown."""
    if time != time:
        return ""
    if unit == "seconds" and is_date(np.array(time)):
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{time:.10g}"


def time_words(time: float, unit: str) -> str:
    """Return a time for people: a date where it counts from 1970, else a number with its unit."""
    if unit == "seconds" and is_date(np.array(time)):
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")
    number = f"{time:,.2f}".rstrip("0").rstrip(".")
    return f"frame {number}" if unit == "frames" else f"{number} s"


def range_words(one: TimeRange, unit: str) -> str:
    """Return the range of a camera for people."""
    if not one.timed:
        return f"no times ({many(one.images, 'image')})"
    some = many(one.images, "image")
    some = some if one.timed == one.images else f"{one.timed:,} of {some}"
    return f"{time_words(one.first, unit)} to {time_words(one.last, unit)} ({some})"


def _missing(ranges: list[TimeRange], missing: int, total: int) -> Iterator[str]:
    without = [one.name for one in ranges if not one.timed]
    if missing:
        cameras = f", among them all of {_cameras(without)}" if without else ""
        yield (
            f"{missing:,} of {total:,} images have no time{cameras}: where they are concerned, "
            "only similarity speaks."
        )


def _of_1970(time: np.ndarray, unit: str) -> np.ndarray:
    """Return which images date from 1970, where most have a later date."""
    if unit != "seconds" or np.nanmedian(time) <= _DATES:
        return np.zeros(len(time), bool)
    return time < _YEAR


def _not_set(ranges: list[TimeRange], camera: np.ndarray, unset: np.ndarray) -> Iterator[str]:
    for one in ranges:
        count = int(unset[camera == one.camera].sum())
        if count:
            dates = "dates" if count == 1 else "date"
            yield (
                f"Warning: {many(count, 'image')} of {_cameras([one.name])} {dates} from 1970 or "
                "earlier, as of a clock that was not set. Leave their times empty, or correct them."
            )


def _stuck(
    ranges: list[TimeRange], camera: np.ndarray, unset: np.ndarray, unit: str
) -> Iterator[str]:
    for one in ranges:
        if one.timed >= _FEW and one.first == one.last and not unset[camera == one.camera].any():
            yield (
                f"Warning: all images of {_cameras([one.name])} have one time "
                f"({time_words(one.first, unit)}). Leave their times empty, or correct them."
            )


def _apart(ranges: list[TimeRange], unit: str) -> Iterator[str]:
    """Tell of cameras whose times overlap with those of no other camera."""
    timed = [one for one in ranges if one.timed and one.camera >= 0]
    gaps = {one: min((_gap(one, b) for b in timed if b is not one), default=0.0) for one in timed}
    apart = [one for one, gap in gaps.items() if gap > 0]
    if len(apart) == len(timed) and apart:
        words = "; ".join(f"{one.name}: {range_words(one, unit)}" for one in apart)
        yield f"No two cameras have images of one time. If that is wrong, correct it. {words}."
        return
    for one in apart:
        yield (
            f"The times of {_cameras([one.name])}, {range_words(one, unit)}, are "
            f"{_span(gaps[one], unit)} away from those of every other camera. A clock may be "
            "wrong by any constant, but check that it is one unit and one date format."
        )


def _gap(one: TimeRange, other: TimeRange) -> float:
    """Return how far two ranges are apart, 0 or less where they overlap."""
    return max(one.first - other.last, other.first - one.last)


def _span(length: float, unit: str) -> str:
    if unit == "frames":
        return f"{length:,.0f} frames"
    for name, size in (("years", _YEAR), ("days", 86_400.0), ("hours", 3_600.0)):
        if length >= 2 * size:
            return f"{length / size:,.0f} {name}"
    return f"{length:,.0f} seconds"


def _cameras(names: Sequence[str]) -> str:
    return f"camera{'s' if len(names) > 1 else ''} {', '.join(names)}"
