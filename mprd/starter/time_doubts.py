"""What a person should look at in the times that `mprd new` found."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from mprd.data.datasets.clock import FRAMES
from mprd.errors import many
from mprd.starter.shapes import IN_NAME, TimeShape

_MANY = 5  # images of a camera with one time, on average: more than a moment shows
_SHARE = 0.5  # of the images that repeat a frame
# One frame shows several of these: person_7/, track_012/, p3_
_OBJECT = re.compile(
    r"(?i)(?<![a-z])(?:id|p|pid|tid|person|identity|individual|animal|vehicle|object|obj|det|crop|"
    r"track|tracklet|trk)[ _-]?\d+"
)


def time_doubts(times: TimeShape | None, camera: str | None, paths: Sequence[str]) -> Iterator[str]:
    """Yield doubts: other times in the same paths, times of videos, frames that start again.

    Args:
        times: that `guess_times` chose.
        camera: pattern that finds the cameras, or None.
        paths: posix paths, relative to the root.
    """
    if times is None:
        return
    yield from _second(times, paths)
    yield from (_again if times.form == FRAMES else _of_videos)(times, camera, paths)


def _second(times: TimeShape, paths: Sequence[str]) -> Iterator[str]:
    anywhere = times.pattern.removesuffix(IN_NAME)
    twice = []
    for path in paths:
        counts = re.search(times.pattern, path)
        others = [match.groups() for match in re.finditer(anywhere, path)]
        if counts and set(others) - {counts.groups()}:
            other = next(one for one in others if one != counts.groups())
            twice.append((path, "/".join(counts.groups()), "/".join(other)))
    if twice:
        path, counts_here, other_here = twice[0]
        yield (
            f"{many(len(twice), 'path holds', 'paths hold')} two times, first '{path}': "
            f"'{counts_here}' counts, not '{other_here}'. If that is wrong, give data.time a "
            "pattern that fits the other place only."
        )


def _of_videos(times: TimeShape, camera: str | None, paths: Sequence[str]) -> Iterator[str]:
    keys = [
        (_name(camera, path), match.groups())
        for path in paths
        if (match := re.search(times.pattern, path))
    ]
    different = len(set(keys))
    if len(keys) >= _MANY * different:
        yield (
            f"{len(keys):,} images have only {many(different, 'different time')}. If these are the "
            "starts of videos, they say nothing of the time between their images: leave out "
            "data.time and use_time, or list the time of each image in a manifest."
        )


def _again(times: TimeShape, camera: str | None, paths: Sequence[str]) -> Iterator[str]:
    places: dict[tuple[str, float], dict[str, str]] = defaultdict(dict)
    known: list[tuple[str, float]] = []
    for path in paths:
        if match := re.search(times.pattern, path):
            known.append((_name(camera, path), float(match[1])))
            places[known[-1]].setdefault(_OBJECT.sub("", path[: match.start()]), path)
    if sum(len(places[key]) > 1 for key in known) <= _SHARE * len(paths):
        return
    (name, frame), found = next((key, one) for key, one in places.items() if len(one) > 1)
    first, second = list(found.values())[:2]
    of_camera = f" of camera {name}" if name else ""
    yield (
        f"Frame {frame:.0f}{of_camera} is in '{first}' and in '{second}': they count as taken at "
        "one time. If each video counts from its own start, leave out data.time and use_time, or "
        "list the time of each image in a manifest."
    )


def _name(camera: str | None, path: str) -> str:
    match = re.search(camera, path) if camera else None
    return match[1] if match else ""
