"""Write a synthetic data set in the Market-1501 layout, deterministic by seed."""

import shutil
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from mprd.artifacts.partials import partial_path
from mprd.artifacts.places import require_writable
from mprd.config import SyntheticConfig
from mprd.data.synthetic.people import Person, draw_look_alike, draw_person
from mprd.data.synthetic.scene import Camera, draw_camera, render
from mprd.data.synthetic.walks import draw_passers, draw_rushes, draw_walks, draw_ways
from mprd.errors import UserError
from mprd.system.threads import worker_count

_JPEG_QUALITY = 88
# Purposes of the random streams: each draw depends on its own numbers alone.
_CAMERA, _PERSON, _SHOTS, _IMAGE, _WAYS, _RUSHES, _WALKS = range(7)
_TRAIN, _TEST, _DISTRACTOR = range(3)


@dataclass(frozen=True)
class Shot:
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
    the gallery. More identities leave the images of the first ones as they are. The frame number in
    a file name is the time of the image, see `walks`.

    Args:
        settings: the `data.synthetic` section.
        out_dir: folder to make; an empty one is replaced.
        threads: worker processes; the files do not depend on it.
        height: of the images, pixels.
        width: of the images, pixels.

    Returns:
        The number of images.

    Raises:
        UserError: `out_dir` holds something already, or cannot be made.
        ValueError: images too small to show a person.
    """
    if height < 16 or width < 8:
        raise ValueError(f"images must be at least 16 x 8, not {height} x {width}")
    if out_dir.exists() and (not out_dir.is_dir() or any(out_dir.iterdir())):
        raise UserError(f"{out_dir} exists and is not empty. Remove it or name another folder.")
    require_writable(out_dir.absolute().parent)
    temporary = partial_path(out_dir)
    shots = list(list_shots(settings))
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


def list_shots(settings: SyntheticConfig) -> Iterator[Shot]:
    """Yield the images of a data set without drawing them."""
    ways = draw_ways(_rng(settings, _WAYS), settings.cameras)
    for identity in range(1, settings.train_identities + 1):
        for camera, frames in _appearances(settings, ways, _TRAIN, identity):
            for number, frame in enumerate(frames):
                file = _file("bounding_box_train", identity, camera, frame, number)
                yield Shot(file, _TRAIN, identity, camera, number)
    for k in range(1, settings.test_identities + 1):
        name = settings.train_identities + k
        for camera, frames in _appearances(settings, ways, _TEST, k):
            for number, frame in enumerate(frames):
                folder = "query" if number == 0 else "bounding_box_test"
                yield Shot(_file(folder, name, camera, frame, number), _TEST, k, camera, number)
    yield from _distractors(settings)


def _file(folder: str, name: int, camera: int, frame: int, number: int) -> str:
    return f"{folder}/{name:04d}_c{camera + 1}s1_{frame:06d}_{number:02d}.jpg"


def _appearances(
    settings: SyntheticConfig, ways: np.ndarray, group: int, identity: int
) -> Iterator[tuple[int, list[int]]]:
    """Yield the cameras that see an identity and its frames there (two at least for a query)."""
    rng = _rng(settings, _SHOTS, group, identity)
    seen = rng.random(settings.cameras) < settings.camera_presence
    seen[rng.permutation(settings.cameras)[:2]] = True
    counts = rng.integers(settings.min_images, settings.max_images + 1, settings.cameras)
    counts += group == _TEST
    images = {camera: int(counts[camera]) for camera in np.flatnonzero(seen).tolist()}
    rushes = _rushes(settings, group, identity)
    yield from draw_walks(_rng(settings, _WALKS, group, identity), ways, images, rushes).items()


def _distractors(settings: SyntheticConfig) -> Iterator[Shot]:
    """Yield one image of each distractor; the later ones of a camera pass it later."""
    seen = defaultdict(list)
    for k in range(1, settings.distractors + 1):
        camera = int(_rng(settings, _SHOTS, _DISTRACTOR, k).integers(settings.cameras))
        seen[camera].append(k)
    for camera, people in sorted(seen.items()):
        frames = draw_passers(_rng(settings, _WALKS, _DISTRACTOR, camera), len(people))
        for k, frame in zip(people, frames, strict=True):
            file = _file("bounding_box_test", 0, camera, frame, 0)
            yield Shot(file, _DISTRACTOR, k, camera, 0)


def _rushes(settings: SyntheticConfig, group: int, identity: int) -> tuple[int, ...]:
    """Draw the rush hours of an identity; a look-alike walks in others than its model."""
    model = _model(settings, identity, _rng(settings, _PERSON, group, identity))
    taken = () if model is None else _rushes(settings, group, model)
    return draw_rushes(_rng(settings, _RUSHES, group, identity), taken)


def _draw(settings: SyntheticConfig, folder: Path, height: int, width: int, shot: Shot) -> None:
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
    model = _model(settings, identity, rng)
    if model is None:
        return draw_person(rng)
    return draw_look_alike(_person(settings, group, model), rng)


def _model(settings: SyntheticConfig, identity: int, rng: np.random.Generator) -> int | None:
    """Return the identity whose clothes a look-alike wears: the first draw of its person."""
    if identity > 1 and rng.random() < settings.look_alike:
        return int(rng.integers(1, identity))
    return None


def _rng(settings: SyntheticConfig, *purpose: int) -> np.random.Generator:
    return np.random.default_rng([settings.seed, *purpose])
