"""When people pass the cameras: rush hours, ways between cameras, stays.

The model, in seconds of one day with one clock for all cameras:

- Cameras stand at random places of a square. The way between two takes a base time: a constant plus
  their distance at walking speed. Each walk multiplies it by a log-normal factor.
- People come in the rush hours of the day, at normally distributed times. Most come once. Some come
  back in another rush hour, so two images of one person may be hours apart. A look-alike comes in
  other rush hours than the person whose clothes it wears. Distractors come in any.
- A walk visits the cameras that see the person, each once, in random order: near cameras are more
  likely to be next. A visit is a few images, some seconds apart. Who comes back splits the images
  of each camera at random between both walks.
- Frame numbers count from the start of the day. All images of a person have different ones, and so
  have all distractors of a camera; two people may share a frame.

Time tells much and not all: others walk in the same rush hour, and the same person in two.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

FRAMES_PER_SECOND = 25
HOUR = 3600
# Eleven hours: the frame numbers keep to the six digits of the file names.
DAY = 11 * HOUR * FRAMES_PER_SECOND
RUSH_HOURS = (1.0 * HOUR, 4.5 * HOUR, 8.0 * HOUR)
RUSH_SPREAD = 600.0  # standard deviation, seconds
RETURN = 0.4  # probability of a second walk
SQUARE = 150.0  # side, metres
SPEED = 1.4  # metres per second
SHORTEST_WAY = 15.0  # seconds
WAY_SPREAD = 0.25  # standard deviation of the logarithm
# Of two next cameras, the one that is this much farther (seconds) is e times less likely.
FARTHER = 40.0
GAP = (1.0, 4.0)  # seconds between the images of a visit


def draw_ways(rng: np.random.Generator, cameras: int) -> np.ndarray:
    """Return the base time of the way between every two cameras, seconds (cameras x cameras).

    More cameras leave the ways between the first ones as they are.
    """
    places = rng.uniform(0, SQUARE, (cameras, 2))
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    return SHORTEST_WAY + distance / SPEED


def draw_rushes(rng: np.random.Generator, taken: Iterable[int] = ()) -> tuple[int, ...]:
    """Return the one or two rush hours in which a person walks, in order.

    Args:
        rng: of the person.
        taken: rush hours of the person that this one resembles: never all of them.
    """
    free = sorted(set(range(len(RUSH_HOURS))) - set(taken))
    times = 2 if rng.random() < RETURN else 1
    chosen = rng.choice(free, min(times, len(free)), replace=False)
    return tuple(sorted(chosen.tolist()))


def draw_walks(
    rng: np.random.Generator,
    ways: np.ndarray,
    images: Mapping[int, int],
    rushes: Sequence[int],
) -> dict[int, list[int]]:
    """Draw the walks of a person.

    Args:
        rng: of the person.
        ways: base times, as `draw_ways` returns them.
        images: number of images by camera.
        rushes: as `draw_rushes` returns them.

    Returns:
        The ascending frame numbers of the images by camera.
    """
    cameras: list[int] = []
    seconds: list[float] = []
    for rush, seen in zip(rushes, _split(rng, images, len(rushes)), strict=True):
        start = float(rng.normal(RUSH_HOURS[rush], RUSH_SPREAD))
        # A long walk may last until the next rush hour.
        now = max([start, *seconds[-1:]])
        route = _route(rng, ways, sorted(seen))
        for before, camera in zip([None, *route], route, strict=False):
            if before is not None:
                now += ways[before, camera] * rng.lognormal(0, WAY_SPREAD)
            for _ in range(seen[camera]):
                now += rng.uniform(*GAP)
                cameras.append(camera)
                seconds.append(now)
    frames: dict[int, list[int]] = {camera: [] for camera in images}
    for camera, frame in zip(cameras, _frames(np.array(seconds)), strict=True):
        frames[camera].append(int(frame))
    return frames


def draw_passers(rng: np.random.Generator, count: int) -> list[int]:
    """Return the ascending frame numbers of people that one camera sees once."""
    rush = rng.integers(len(RUSH_HOURS), size=count)
    return _frames(np.sort(rng.normal(np.take(RUSH_HOURS, rush), RUSH_SPREAD))).tolist()


def _split(rng: np.random.Generator, images: Mapping[int, int], walks: int) -> list[dict[int, int]]:
    """Deal the images of each camera to the walks; a walk leaves out cameras without images."""
    shares = [1 / walks] * walks
    dealt = {camera: rng.multinomial(count, shares) for camera, count in images.items()}
    return [{c: int(n[k]) for c, n in dealt.items() if n[k]} for k in range(walks)]


def _route(rng: np.random.Generator, ways: np.ndarray, cameras: list[int]) -> list[int]:
    """Order cameras: the first at random, then near ones before far ones, mostly."""
    route: list[int] = []
    left = list(cameras)
    while left:
        weight = np.exp(-ways[route[-1], left] / FARTHER) if route else np.ones(len(left))
        route.append(left.pop(int(rng.choice(len(left), p=weight / weight.sum()))))
    return route


def _frames(seconds: np.ndarray) -> np.ndarray:
    """Turn ascending times into frames of the day; one that is taken gives way to the next."""
    count = len(seconds)
    if count > DAY:
        raise ValueError(f"{count} images need more than the {DAY} frames of a day")
    order = np.arange(count)
    frames = np.floor(seconds * FRAMES_PER_SECOND).astype(int)
    return np.clip(np.maximum.accumulate(frames - order), 0, DAY - count) + order
