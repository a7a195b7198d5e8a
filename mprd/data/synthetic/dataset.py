"""Write a synthetic data set in the Market-1501 layout, deterministic by seed."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from mprd.config import SyntheticConfig
from mprd.data.synthetic.people import Person, draw_look_alike, draw_person
from mprd.data.synthetic.scene import Camera, draw_camera, render
from mprd.errors import UserError
from mprd.system.threads import worker_count

_JPEG_QUALITY = 88
# Purposes of the random streams: each draw depends on its own numbers alone.
_CAMERA, _PERSON, _SHOTS, _IMAGE = range(4)
_TRAIN, _TEST, _DISTRACTOR = range(3)


@dataclass(frozen=True)
class _Shot:
    """One image to draw: its file, and the numbers of its random stream."""

    path: str
    group: int
    identity: int
    camera: int
    number: int


def generate(
    settings: SyntheticConfig,
    out_dir: Path,
    threads: int = 1,
    *,
    height: int = 128,
    width: int = 64,
) -> int:
    """Draw a data set.

    Each test identity gives one query image per camera that sees it; all its other images are in
    the gallery. More identities leave the images of the first ones as they are.

    Args:
        settings: the `data.synthetic` section.
        out_dir: folder to make; an empty one is replaced.
        threads: worker processes; the files do not depend on it.
        height: of the images, pixels.
        width: of the images, pixels.

    Returns:
        The number of images.

    Raises:
        UserError: `out_dir` holds something already.
        ValueError: images too small to show a person.
    """
    if height < 16 or width < 8:
        raise ValueError(f"images must be at least 16 x 8, not {height} x {width}")
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise UserError(f"{out_dir} exists and is not empty. Remove it or name another folder.")
    temporary = out_dir.with_name(f".{out_dir.name}.{os.getpid()}.partial")
    shots = list(_shots(settings))
    try:
        for folder in sorted({Path(shot.path).parent for shot in shots}):
            (temporary / folder).mkdir(parents=True)
        draw = partial(_draw, settings, temporary, height, width)
        workers = min(threads, worker_count(None))
        if workers > 1:
            # Spawned: a process with threads (of torch, of BLAS) cannot be forked safely.
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
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


def _shots(settings: SyntheticConfig) -> Iterator[_Shot]:
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
    settings: SyntheticConfig, group: int, identity: int
) -> Iterator[tuple[int, range]]:
    """Yield the cameras that see an identity and its shots there (two at least for a query)."""
    rng = _rng(settings, _SHOTS, group, identity)
    seen = rng.random(settings.cameras) < settings.camera_presence
    seen[rng.permutation(settings.cameras)[:2]] = True
    counts = rng.integers(settings.min_images, settings.max_images + 1, settings.cameras)
    for camera in np.flatnonzero(seen).tolist():
        shots = int(counts[camera]) + (1 if group == _TEST else 0)
        yield camera, range(shots)


def _draw(settings: SyntheticConfig, folder: Path, height: int, width: int, shot: _Shot) -> None:
    camera = _camera(settings, shot.camera)
    person = _person(settings, shot.group, shot.identity)
    rng = _rng(settings, _IMAGE, shot.group, shot.identity, shot.camera, shot.number)
    image = render(person, camera, rng, height=height, width=width, occlusion=settings.occlusion)
    image.save(folder / shot.path, quality=_JPEG_QUALITY)


@lru_cache(maxsize=128)
def _camera(settings: SyntheticConfig, camera: int) -> Camera:
    return draw_camera(_rng(settings, _CAMERA, camera))


def _person(settings: SyntheticConfig, group: int, identity: int) -> Person:
    """Draw an identity; a look-alike is dressed as one of the same group before it."""
    rng = _rng(settings, _PERSON, group, identity)
    if identity > 1 and rng.random() < settings.look_alike:
        model = _person(settings, group, int(rng.integers(1, identity)))
        return draw_look_alike(model, rng)
    return draw_person(rng)


def _rng(settings: SyntheticConfig, *purpose: int) -> np.random.Generator:
    return np.random.default_rng([settings.seed, *purpose])
