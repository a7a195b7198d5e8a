"""What can be seen of a folder of images without a label and without training."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mprd.data.datasets import read_dataset
from mprd.data.datasets.base import numbered
from mprd.data.datasets.clock import FRAMES
from mprd.data.images import image_size
from mprd.data.times import range_words, time_notes, time_ranges
from mprd.errors import UserError, why_no_folder
from mprd.starter.shapes import TimeShape, guess_times, guess_tracks

# How cameras are plainly written in paths, most plain first.
PATTERNS = (
    r"(?i)(?:^|[/_.-])cam(?:era)?[_-]?([a-z0-9]+)",  # cam_gate/1.jpg, x_camera3.jpg
    r"_c(\d+)s\d+_",  # 0002_c1s1_000451_03.jpg
    r"_c(\d+)_",  # 0001_c2_f0046182.jpg
)
_CLEAR = 0.9  # share of the paths that a pattern must fit
_MOST_CAMERAS = 99
_SAMPLE = 500  # images whose size is read


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        root: the folder.
        images: their number.
        height: median height of the files, pixels.
        width: median width.
        aspect: median of height / width.
        kinds: suffix -> number of files.
        cameras: names, empty if none are found.
        pattern: that finds them, or None.
        fewest: images of the camera that has fewest.
        unreadable: paths among those sampled that are no images.
        times: how times are written in the paths, or None.
        ranges: the times of each camera, if any are found.
        time_notes: what looks wrong with them.
        track: pattern that finds tracks, or None.
        tracks: their number.
    """

    root: Path
    images: int
    height: int
    width: int
    aspect: float
    kinds: dict[str, int]
    cameras: tuple[str, ...]
    pattern: str | None
    fewest: int
    unreadable: tuple[str, ...]
    times: TimeShape | None = None
    ranges: tuple[str, ...] = ()
    time_notes: tuple[str, ...] = ()
    track: str | None = None
    tracks: int = 0


def survey(root: Path) -> Survey:
    """Look at a folder: paths of all images, and the size of evenly spread ones.

    Raises:
        UserError: no folder, no images, or none of the sampled ones can be read.
    """
    if not root.is_dir():
        raise UserError(f"{why_no_folder(root)}. Name the folder that holds your images.")
    paths = [record.path for record in read_dataset("folder", root).records]
    spread = np.linspace(0, len(paths) - 1, min(len(paths), _SAMPLE)).round().astype(int)
    sizes, unreadable = [], []
    for path in (paths[i] for i in spread):
        try:
            sizes.append(image_size(root / path))
        except UserError:
            unreadable.append(path)
    if not sizes:
        raise UserError(f"None of the images in {root} can be read, such as '{unreadable[0]}'.")
    width, height = np.array(sizes).T
    pattern = guess_cameras(paths)
    found = Counter() if pattern is None else _cameras(pattern, paths)
    return Survey(
        root=root,
        images=len(paths),
        height=int(np.median(height)),
        width=int(np.median(width)),
        aspect=float(np.median(height / width)),
        kinds=dict(Counter(Path(path).suffix.lower() for path in paths)),
        cameras=numbered(found),
        pattern=pattern,
        fewest=min(found.values(), default=0),
        unreadable=tuple(unreadable),
        **_moments(root, paths, pattern),
    )


def _moments(root: Path, paths: Sequence[str], camera: str | None) -> dict[str, Any]:
    """Return what a survey says of times and tracks."""
    times, track = guess_times(paths), guess_tracks(paths, camera)
    listing = read_dataset(
        "folder",
        root,
        camera,
        time=times.pattern if times else None,
        time_format=times.form if times else FRAMES,
        track=track,
    )
    time = np.array([record.time for record in listing.records])
    cameras = np.array([record.camera for record in listing.records])
    names, unit = listing.camera_names, listing.time_unit
    ranges = time_ranges(time, cameras, names) if times else []
    return {
        "times": times,
        "ranges": tuple(
            f"{'camera ' if names else ''}{one.name}: {range_words(one, unit)}" for one in ranges
        ),
        "time_notes": tuple(time_notes(time, cameras, unit=unit, camera_names=names)),
        "track": track,
        "tracks": len({record.track for record in listing.records} - {""}),
    }


def guess_cameras(paths: Sequence[str]) -> str | None:
    """Return the first pattern that finds cameras in nearly all paths, and at least two of them.

    Args:
        paths: posix paths, relative to the root.
    """
    for pattern in PATTERNS:
        found = _cameras(pattern, paths)
        clear = found.total() >= _CLEAR * len(paths)
        if clear and 2 <= len(found) <= min(_MOST_CAMERAS, len(paths) // 2):
            plain = _plain(pattern, paths[0])
            return plain if _cameras(plain, paths) == found else pattern
    return None


def _plain(pattern: str, path: str) -> str:
    """Return a pattern that a person would write for what another one finds in a path."""
    match = re.search(pattern, path)
    if match is None:
        return pattern
    before = match[0][: match.start(1) - match.start()].lstrip("/_.-")
    return f"{before}([A-Za-z0-9]+)"


def _cameras(pattern: str, paths: Sequence[str]) -> Counter[str]:
    matches = (re.search(pattern, path) for path in paths)
    return Counter(match[1] for match in matches if match is not None)
