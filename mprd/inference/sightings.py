"""When and where images were taken: as a manifest says, as a run lists them, or by their paths."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mprd.artifacts import INDEX, Artifact, read_artifact
from mprd.config import load_config
from mprd.config.data import EXIF, DataConfig
from mprd.data.added import Added, stored
from mprd.data.datasets.base import Listing
from mprd.data.datasets.manifest import read_manifest
from mprd.data.datasets.path_labels import side_in_path, time_in_path, track_in_path
from mprd.data.images import time_taken
from mprd.data.index import camera_names, name_cameras, name_sides, name_tracks, trained_cameras
from mprd.data.windows import Window
from mprd.errors import UserError
from mprd.pipeline.layout import RunLayout, run_of


class Seen(NamedTuple):
    """When and where one image was taken.

    Attributes:
        camera: name, "" unknown.
        time: NaN unknown.
        track: name, "" unknown.
        side: of the animal, "" unknown.
    """

    camera: str
    time: float
    track: str
    side: str


@dataclass(frozen=True)
class Sightings:
    """When and where images were taken.

    Attributes:
        times: float64 (n,), NaN unknown.
        cameras: int64 (n,), numbers of the run's index, -1 unknown.
        trained: int64 (n,), the same, -1 where the run has no training image of the camera.
        places: name of the camera of each image, "" unknown; the run need not know it.
        tracks: name of the track of each image, "" unknown.
        sides: name of the side of the animal that each image shows, "" unknown.
        unit: of the times: seconds, frames, or "" if the run has none.
    """

    times: np.ndarray
    cameras: np.ndarray
    trained: np.ndarray
    places: Sequence[str]
    tracks: Sequence[str]
    sides: Sequence[str]
    unit: str

    @property
    def told(self) -> np.ndarray:
        """Which images have a time and a camera that the run knows, bool (n,)."""
        return np.isfinite(self.times) & (self.trained >= 0)

    def apart(self, others: "Sightings") -> np.ndarray:
        """Return which pairs show two known sides of an animal, bool (n, m): no answers.

        Args:
            others: m images.
        """
        one, other = np.array(self.sides, object)[:, None], np.array(others.sides, object)
        return (one != "") & (other != "") & (one != other)

    def rows(
        self,
        camera: str | Sequence[str] = (),
        *,
        after: str | float | None = None,
        before: str | float | None = None,
    ) -> np.ndarray:
        """Return which images a camera took in a time, bool (n,).

        An image whose camera or time is unknown is not among them where one is asked for.

        Args:
            camera: its name, or several; none: any.
            after: the first time: a date (ISO 8601; without a zone it counts as UTC), a time of
                day, which counts on every day, or a number in the unit of the run; None: any.
            before: the first time that is too late; None: any.

        Raises:
            UserError: no image is of the camera, there are no such times, or the two are in the
                wrong order.

        Example:
            >>> seen = mprd.sightings("results/crops", paths)
            >>> seen.rows("gate", after="2026-03-14T14:00", before="2026-03-14T15:00")
        """
        wanted = [camera] if isinstance(camera, str) else list(camera)
        known = sorted(set(self.places) - {""})
        if unknown := [name for name in wanted if name not in known]:
            those = f"known are {', '.join(known)}" if known else "no camera is known of them"
            raise UserError(f"There is no image of the camera '{unknown[0]}': {those}.")
        chosen = np.array([not wanted or name in wanted for name in self.places], bool)
        if after is None and before is None:
            return chosen
        return chosen & Window.of(after, before, self.times, self.unit).holds(self.times)

    def of(self, rows: np.ndarray) -> "Sightings":
        """Return those of some images, by number."""
        return Sightings(
            self.times[rows],
            self.cameras[rows],
            self.trained[rows],
            [self.places[row] for row in rows.tolist()],
            [self.tracks[row] for row in rows.tolist()],
            [self.sides[row] for row in rows.tolist()],
            self.unit,
        )


class RunSightings:
    """A run's ways to find time, camera and track of an image.

    Attributes:
        index: of the run.
        unit: of the times: seconds or frames; "": it has none.
    """

    def __init__(self, run: RunLayout, manifest: Path | None = None) -> None:
        """Read the index of a run.

        Args:
            run: with its config and index.
            manifest: CSV with path, camera, time or frame, track and side of images; they are
                taken from it first.

        Raises:
            UserError: the manifest cannot be read, or its times have another unit.
        """
        self._data = load_config(run.config).data
        self.index = read_artifact(run.index, INDEX)
        self._names = {name: number for number, name in enumerate(camera_names(self.index))}
        self.unit = str(self.index.attributes["time_unit"])
        every = np.arange(len(self.index["path"]))
        listed = zip(
            name_cameras(self.index, every).tolist(),
            self.index["time"].tolist(),
            name_tracks(self.index, every).tolist(),
            name_sides(self.index, every).tolist(),
            strict=True,
        )
        root, paths = self.index.attributes["root"], self.index["path"]
        files = (f"{root}/{path}" for path in paths)
        self._known = {file: Seen(*one) for file, one in zip(files, listed, strict=True)}
        added, _ = stored(run.final)
        told = zip(added["camera"], added["time"].tolist(), added["side"], strict=True)
        for file, (camera, time, side) in zip(added.locations(self.index), told, strict=True):
            self._known[str(file)] = Seen(camera, time, "", side)
        if manifest is not None:
            self._known |= self._listed(manifest)

    def _listed(self, manifest: Path) -> dict[str, Seen]:
        """Return what a manifest says of its images, by absolute path."""
        listing = listed_sightings(manifest, self.unit)
        self.unit = self.unit or listing.time_unit
        names = [*listing.camera_names, ""]
        return {
            str((listing.root / one.path).resolve()): Seen(
                names[one.camera], one.time, one.track, one.side
            )
            for one in listing.records
        }

    def of(self, images: Sequence[tuple[Path, Path]]) -> Sightings:
        """Return when and where images were taken.

        As the manifest says, else as the run lists them and images that were added to it, else as
        the run's `data.camera`, `data.time`, `data.track` and `data.side` find it.

        Args:
            images: files, each with the path in which patterns are looked for.

        Raises:
            UserError: what `data.time` finds is no time.
        """
        found = [
            self._known.get(str(path.resolve())) or seen_in_path(path, name, self._data)
            for path, name in images
        ]
        numbers = np.array([self._names.get(one.camera, -1) for one in found], np.int64)
        return Sightings(
            np.array([one.time for one in found], np.float64),
            numbers,
            trained_cameras(self.index, numbers),
            [one.camera for one in found],
            [one.track for one in found],
            [one.side for one in found],
            self.unit,
        )


def listed_sightings(manifest: Path, unit: str) -> Listing:
    """Return what a manifest says of images, whose times must fit those of a run.

    Args:
        manifest: CSV or Parquet, see `read_manifest`.
        unit: of the run's times; "": it has none.

    Raises:
        UserError: as `read_manifest`; the times have another unit.
    """
    listing = read_manifest(manifest)
    if listing.time_unit and unit and listing.time_unit != unit:
        raise UserError(
            f"The times of {manifest} are {listing.time_unit}, those of the run {unit}. Write them "
            "as the run has them."
        )
    return listing


def seen_in_path(file: Path, name: Path, data: DataConfig) -> Seen:
    """Return when and where an image was taken, as the patterns of a run find it.

    Args:
        file: the image, for times by EXIF; features may have none.
        name: the path in which patterns are looked for.
        data: of the run.

    Raises:
        UserError: what `data.time` finds is no time.
    """
    text, time = name.as_posix(), math.nan
    if data.time == EXIF:
        time = time_taken(file) if file.is_file() else time
    elif data.time is not None:
        time = time_in_path(text, data.time, data.time_format)
    track = "" if data.track is None else track_in_path(text, data.track)
    side = "" if data.side is None else side_in_path(text, data.side)
    return Seen(camera_in_path(name, data.camera), time, track, side)


def sightings(
    run: str | Path, images: Sequence[str | Path], manifest: str | Path | None = None
) -> Sightings:
    """Return when and where images were taken, to search among some of them.

    Args:
        run: folder of a run, which may list the images, or has patterns for their paths.
        images: files, in the order of their features.
        manifest: CSV with the columns path, camera, time or frame, track, side; it comes first.

    Raises:
        UserError: no folder of a run, or the manifest cannot be read.

    Example:
        >>> seen = mprd.sightings("results/crops", paths)
        >>> mprd.search(query, features, among=seen.rows("gate", after="14:00", before="15:00"))
    """
    found = RunSightings(run_of(Path(run)), None if manifest is None else Path(manifest))
    return found.of([(Path(path), Path(path)) for path in images])


def index_sightings(index: Artifact, rows: np.ndarray, added: Added | None = None) -> Sightings:
    """Return when and where images of a run were taken.

    Args:
        index: of the run.
        rows: int (n,), images of the index.
        added: images that were added to the run, behind them; None: leave them out.
    """
    cameras, times = index["camera"][rows].astype(np.int64), index["time"][rows]
    places, tracks = name_cameras(index, rows).tolist(), name_tracks(index, rows).tolist()
    sides = name_sides(index, rows).tolist()
    if added is not None and len(added):
        cameras = np.concatenate([cameras, added.cameras(camera_names(index))])
        times = np.concatenate([times, added["time"]])
        places += added["camera"].tolist()
        tracks += [""] * len(added)
        sides += added["side"].tolist()
    unit = str(index.attributes["time_unit"])
    return Sightings(times, cameras, trained_cameras(index, cameras), places, tracks, sides, unit)


def camera_in_path(path: Path, pattern: str | None) -> str:
    """Return the name of the camera that a pattern finds in a path, "" if it finds none."""
    match = None if pattern is None else re.search(pattern, path.as_posix())
    return "" if match is None else match[1]
