"""What a run has learnt of times, for images outside of it: queries, galleries, new crops."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mprd.artifacts import INDEX, TRANSITIONS, read_artifact
from mprd.config import load_config
from mprd.config.data import EXIF
from mprd.data.datasets.manifest import read_manifest
from mprd.data.datasets.path_labels import time_in_path
from mprd.data.images import time_taken
from mprd.data.index import camera_names, trained_cameras
from mprd.errors import UserError, say
from mprd.evidence.fusion import correction
from mprd.evidence.lookup import time_evidence
from mprd.evidence.travel import stored_transitions
from mprd.pipeline.layout import RunLayout


@dataclass(frozen=True)
class Sightings:
    """When and where images were taken.

    Attributes:
        times: float64 (n,), NaN unknown.
        cameras: int64 (n,), numbers of the run's index, -1 unknown.
        trained: int64 (n,), the same, -1 where the run has no training image of the camera.
    """

    times: np.ndarray
    cameras: np.ndarray
    trained: np.ndarray

    @property
    def told(self) -> np.ndarray:
        """Which images have a time and a camera that the run knows, bool (n,)."""
        return np.isfinite(self.times) & (self.trained >= 0)


class RunTimes:
    """The transitions of a run and its ways to find the time and camera of an image.

    Attributes:
        unit: of the times: seconds or frames.
        informative: whether the run found that times carry anything.
    """

    def __init__(self, run: RunLayout, manifest: Path | None = None) -> None:
        """Read what a run has learnt: at its end, else in its last epoch.

        Args:
            run: with `use_time`.
            manifest: CSV with path, camera and time or frame of images; they are taken from it
                first.

        Raises:
            UserError: the run has learnt no transitions, the manifest cannot be read, or its times
                have another unit.
        """
        config = load_config(run.config)
        if not config.use_time:
            raise UserError(
                f"{run.folder} has learnt nothing of times. Set use_time to true and run `mprd "
                "run` again, or leave out --times."
            )
        self._data, self._settings = config.data, config.time
        last = run.epochs_with("transitions")[-1:]
        path = run.epoch(last[0]).transitions if last else run.final.transitions
        path = run.final.transitions if run.final.transitions.is_file() else path
        found = read_artifact(path, TRANSITIONS)
        self._transitions = stored_transitions(found.arrays, found.attributes)
        self._index = read_artifact(run.index, INDEX)
        self._names = {name: number for number, name in enumerate(camera_names(self._index))}
        self.unit = str(self._index.attributes["time_unit"])
        self.informative = self._transitions.informative
        root = self._index.attributes["root"]
        listed = zip(self._index["camera"].tolist(), self._index["time"].tolist(), strict=True)
        self._known = dict(zip((f"{root}/{p}" for p in self._index["path"]), listed, strict=True))
        if manifest is not None:
            self._known |= self._listed(manifest)

    def _listed(self, manifest: Path) -> dict[str, tuple[int, float]]:
        """Return camera and time of the images of a manifest, by absolute path."""
        listing = read_manifest(manifest)
        if listing.time_unit not in ("", self.unit):
            raise UserError(
                f"The times of {manifest} are {listing.time_unit}, those of the run {self.unit}. "
                "Write them as the run has them."
            )
        names = [*listing.camera_names, ""]
        return {
            str((listing.root / one.path).resolve()): (
                self._names.get(names[one.camera], -1),
                one.time,
            )
            for one in listing.records
        }

    def sightings(self, images: list[tuple[Path, Path]]) -> Sightings:
        """Return when and where images were taken.

        As the manifest says, else as the run's index lists them, else as the run's `data.camera`
        and `data.time` find it.

        Args:
            images: files, each with the path in which patterns are looked for.

        Raises:
            UserError: what `data.time` finds is no time.
        """
        found = [
            self._known.get(str(path.resolve())) or self._seen(path, name) for path, name in images
        ]
        cameras = np.array([camera for camera, _ in found], np.int64)
        times = np.array([time for _, time in found], np.float64)
        return Sightings(times, cameras, trained_cameras(self._index, cameras))

    def _seen(self, path: Path, name: Path) -> tuple[int, float]:
        camera, pattern = camera_in_path(name, self._data.camera), self._data.time
        time = float("nan")
        if pattern == EXIF:
            time = time_taken(path)
        elif pattern is not None:
            time = time_in_path(name.as_posix(), pattern, self._data.time_format)
        return self._names.get(camera, -1), time

    def evidence(self, some: Sightings, others: Sightings, block: slice) -> np.ndarray:
        """Return the log ratio of pairs, within the limits of `time.most`.

        Args:
            some: n images, of which `block` are compared.
            others: m images.
            block: of the first.

        Returns:
            float32 (rows of the block, m).
        """
        return np.clip(
            time_evidence(
                self._transitions,
                some.times[block, None],
                some.trained[block, None],
                others.times,
                others.trained,
            ),
            -self._settings.most,
            self._settings.most,
        )

    def correction(self, evidence: np.ndarray) -> np.ndarray:
        """Return what evidence adds to similarities."""
        return correction(evidence, self._settings)

    def say(self, some: Sightings, others: Sightings, what: str, among: str) -> None:
        """Tell on standard error how many images times are used for.

        Args:
            some: images that are ranked or assigned.
            others: those they are compared with.
            what: name of the first, plural.
            among: name of the others, plural.
        """
        if not self.informative:
            line = f"in this run they tell nothing; all {what} are compared by appearance only"
        else:
            unknown = np.isfinite(some.times) & ~some.told
            line = (
                f"used for {some.told.sum():,} of {len(some.told):,} {what} and "
                f"{others.told.sum():,} of {len(others.told):,} {among}; the others are compared "
                f"by appearance only ({what}: {np.isnan(some.times).sum():,} without a time, "
                f"{unknown.sum():,} of a camera that the run does not know)"
            )
        say(f"times: {line}", file=sys.stderr)


def camera_in_path(path: Path, pattern: str | None) -> str:
    """Return the name of the camera that a pattern finds in a path, "" if it finds none."""
    match = None if pattern is None else re.search(pattern, path.as_posix())
    return "" if match is None else match[1]
