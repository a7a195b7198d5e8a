"""Write a synthetic data set in the Market-1501 layout, deterministic by seed."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from mprd.data.synthetic.people import Person, draw_look_alike, draw_person
from mprd.data.synthetic.scene import Camera, draw_camera, render
from mprd.errors import UserError

_JPEG_QUALITY = 88
# Purposes of the random streams: each draw depends on its own numbers alone.
_CAMERA, _PERSON, _SHOTS, _IMAGE = range(4)
_TRAIN, _TEST, _DISTRACTOR = range(3)


@dataclass(frozen=True)
class SyntheticSettings:
    """What to draw; see the `data.synthetic` settings.

    Attributes:
        seed: all images follow from it.
        train_identities: identities of `bounding_box_train`.
        test_identities: identities of `query` and `bounding_box_test`.
        cameras: number of cameras.
        images_per_camera: fewest and most images of an identity in a camera that sees it.
        camera_presence: probability that a camera sees an identity; two always do.
        distractors: gallery images of identity 0.
        height: of the images, pixels.
        width: of the images, pixels.
        look_alike: share of identities dressed nearly like an earlier one.
        occlusion: probability that something hides a part of the person.

    Raises:
        ValueError: a value out of range.
    """

    seed: int
    train_identities: int = 80
    test_identities: int = 60
    cameras: int = 5
    images_per_camera: tuple[int, int] = (2, 4)
    camera_presence: float = 0.85
    distractors: int = 40
    height: int = 128
    width: int = 64
    look_alike: float = 0.3
    occlusion: float = 0.25

    def __post_init__(self) -> None:
        """Check the ranges."""
        fewest, most = self.images_per_camera
        checks = {
            "seed must be >= 0": self.seed >= 0,
            "identities must be >= 1": min(self.train_identities, self.test_identities) >= 1,
            "cameras must be >= 2": self.cameras >= 2,
            "images_per_camera must be (a, b) with 1 <= a <= b": 1 <= fewest <= most,
            "camera_presence must lie in [0, 1]": 0 <= self.camera_presence <= 1,
            "distractors must be >= 0": self.distractors >= 0,
            "images must be at least 16 x 8": self.height >= 16 and self.width >= 8,
            "look_alike must lie in [0, 1]": 0 <= self.look_alike <= 1,
            "occlusion must lie in [0, 1]": 0 <= self.occlusion <= 1,
        }
        for message, holds in checks.items():
            if not holds:
                raise ValueError(message)


@dataclass(frozen=True)
class _Shot:
    """One image to draw: its file, and the numbers of its random stream."""

    path: str
    group: int
    identity: int
    camera: int
    number: int


def generate(settings: SyntheticSettings, out_dir: Path, threads: int = 1) -> int:
    """Draw a data set.

    Each test identity gives one query image per camera that sees it; all its other images are in
    the gallery. More identities leave the images of the first ones as they are.

    Args:
        settings: what to draw.
        out_dir: folder to make; an empty one is replaced.
        threads: worker processes; the files do not depend on it.

    Returns:
        The number of images.

    Raises:
        UserError: `out_dir` holds something already.
    """
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise UserError(f"{out_dir} exists and is not empty. Remove it or name another folder.")
    temporary = out_dir.with_name(f".{out_dir.name}.{os.getpid()}.partial")
    shots = list(_shots(settings))
    try:
        for folder in sorted({Path(shot.path).parent for shot in shots}):
            (temporary / folder).mkdir(parents=True)
        draw = partial(_draw, settings, temporary)
        workers = min(threads, len(os.sched_getaffinity(0)))
        if workers > 1:
            with ProcessPoolExecutor(workers) as pool:
                list(pool.map(draw, shots, chunksize=64))
        else:
            for shot in shots:
                draw(shot)
        if out_dir.exists():
            out_dir.rmdir()
        temporary.rename(out_dir)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(shots)


def _shots(settings: SyntheticSettings) -> Iterator[_Shot]:
    for identity in range(1, settings.train_identities + 1):
        for camera, numbers in _appearances(settings, _TRAIN, identity):
            for number in numbers:
                yield _shot("bounding_box_train", identity, _TRAIN, identity, camera, number)
    for k in range(1, settings.test_identities + 1):
        name = settings.train_identities + k
        for camera, numbers in _appearances(settings, _TEST, k):
            for number in numbers:
                folder = "query" if number == 0 else "bounding_box_test"
                yield _shot(folder, name, _TEST, k, camera, number)
    for k in range(1, settings.distractors + 1):
        camera = int(_rng(settings, _SHOTS, _DISTRACTOR, k).integers(settings.cameras))
        yield _shot("bounding_box_test", 0, _DISTRACTOR, k, camera, 0)


def _shot(folder: str, name: int, group: int, identity: int, camera: int, number: int) -> _Shot:
    frame = identity * 100 + number
    file = f"{name:04d}_c{camera + 1}s1_{frame:06d}_{number:02d}.jpg"
    return _Shot(f"{folder}/{file}", group, identity, camera, number)


def _appearances(
    settings: SyntheticSettings, group: int, identity: int
) -> Iterator[tuple[int, range]]:
    """Yield the cameras that see an identity and its shots there (two at least for a query)."""
    rng = _rng(settings, _SHOTS, group, identity)
    seen = rng.random(settings.cameras) < settings.camera_presence
    seen[rng.permutation(settings.cameras)[:2]] = True
    fewest, most = settings.images_per_camera
    counts = rng.integers(fewest, most + 1, settings.cameras)
    for camera in np.flatnonzero(seen).tolist():
        shots = int(counts[camera]) + (1 if group == _TEST else 0)
        yield camera, range(shots)


def _draw(settings: SyntheticSettings, folder: Path, shot: _Shot) -> None:
    camera = _camera(settings, shot.camera)
    person = _person(settings, shot.group, shot.identity)
    rng = _rng(settings, _IMAGE, shot.group, shot.identity, shot.camera, shot.number)
    image = render(
        person,
        camera,
        rng,
        height=settings.height,
        width=settings.width,
        occlusion=settings.occlusion,
    )
    image.save(folder / shot.path, quality=_JPEG_QUALITY)


@lru_cache(maxsize=128)
def _camera(settings: SyntheticSettings, camera: int) -> Camera:
    return draw_camera(_rng(settings, _CAMERA, camera))


def _person(settings: SyntheticSettings, group: int, identity: int) -> Person:
    """Draw an identity; a look-alike is dressed as one of the same group before it."""
    rng = _rng(settings, _PERSON, group, identity)
    if identity > 1 and rng.random() < settings.look_alike:
        model = _person(settings, group, int(rng.integers(1, identity)))
        return draw_look_alike(model, rng)
    return draw_person(rng)


def _rng(settings: SyntheticSettings, *purpose: int) -> np.random.Generator:
    return np.random.default_rng([settings.seed, *purpose])
