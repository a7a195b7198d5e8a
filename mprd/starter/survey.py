"""What can be seen of a folder of images without a label and without training."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mprd.data.datasets.base import Listing, numbered, without_unlisted
from mprd.data.datasets.clock import FRAMES
from mprd.data.datasets.folder import read_crops
from mprd.data.datasets.path_labels import second_cameras
from mprd.data.datasets.registry import labelled
from mprd.data.images import image_size
from mprd.data.times import range_words, time_notes, time_ranges
from mprd.errors import UserError, why_no_folder
from mprd.starter.camera_shapes import camera_doubts, camera_names, guess_cameras
from mprd.starter.shapes import TimeShape, guess_times, guess_tracks
from mprd.starter.time_doubts import time_doubts

_SAMPLE = 500  # images whose size is read


@dataclass(frozen=True)
class Survey:
    """What was found.

    Attributes:
        root: the folder.
        paths: of its images, sorted.
        height: median height of the files, pixels.
        width: median width.
        aspect: median of height / width.
        kinds: suffix -> number of files.
        cameras: name -> number of images, empty if none are found.
        pattern: that finds them, or None.
        looked_at: images whose size was read.
        unreadable: paths among these that are no images.
        times: how times are written in the paths, or None.
        ranges: the times of each camera, if any are found.
        time_notes: what looks wrong with them.
        track: pattern that finds tracks, or None.
        tracks: their number.
        notes: what a person should read: files that are not read, doubts about cameras.
    """

    root: Path
    paths: tuple[str, ...]
    height: int
    width: int
    aspect: float
    kinds: dict[str, int]
    cameras: Mapping[str, int]
    pattern: str | None
    looked_at: int
    unreadable: tuple[str, ...]
    times: TimeShape | None = None
    ranges: tuple[str, ...] = ()
    time_notes: tuple[str, ...] = ()
    track: str | None = None
    tracks: int = 0
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.paths)

    @property
    def fewest(self) -> int:
        """Images of the camera that has fewest."""
        return min(self.cameras.values(), default=0)


def survey(root: Path) -> Survey:
    """Look at a folder: paths of all images, and the size of evenly spread ones.

    Raises:
        UserError: no folder, no images, or none of the sampled ones can be read.
    """
    if not root.is_dir():
        raise UserError(f"{why_no_folder(root)}. Name the folder that holds your images.")
    listing = without_unlisted(read_crops(root), skip=True)
    paths = sorted(record.path for record in listing.records)
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
    found = Counter() if pattern is None else camera_names(pattern, paths)
    return Survey(
        root=root,
        paths=tuple(paths),
        height=int(np.median(height)),
        width=int(np.median(width)),
        aspect=float(np.median(height / width)),
        kinds=dict(Counter(Path(path).suffix.lower() for path in paths)),
        cameras={name: found[name] for name in numbered(found)},
        pattern=pattern,
        notes=(
            *listing.notes,
            *([] if pattern is None else second_cameras(pattern, paths)),
            *camera_doubts(pattern, paths),
        ),
        looked_at=len(spread),
        unreadable=tuple(unreadable),
        **_moments(listing, pattern),
    )


def _moments(listing: Listing, camera: str | None) -> dict[str, Any]:
    """Return what a survey says of times and tracks."""
    paths = [record.path for record in listing.records]
    times, track = guess_times(paths), guess_tracks(paths, camera)
    listing = labelled(
        "folder",
        listing,
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
        "time_notes": (
            *time_notes(time, cameras, unit=unit, camera_names=names),
            *time_doubts(times, camera, paths),
        ),
        "track": track,
        "tracks": len({record.track for record in listing.records} - {""}),
    }
