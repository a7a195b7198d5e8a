"""How long people typically take between two cameras, and how many take the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mprd.evidence.transitions import Transitions

_LEAST_PAIRS = 10  # beyond chance
_SPREADS = 3  # of the number of pairs that chance brings
_GROWTH = 1.5  # width of the last bin relative to the one before, where that is all there is
_UNITS = ((60.0, 1.0, "s"), (3_600.0, 60.0, "min"), (86_400.0, 3_600.0, "h"))  # up to, size, name


@dataclass(frozen=True)
class Way:
    """From one camera to another, or within one.

    Attributes:
        first: the camera that sees a person first.
        then: the camera that sees the person afterwards; the same: within one camera.
        pairs: probable pairs that take the way, beyond those that chance brings.
        time: their median time between the two images.
    """

    first: int
    then: int
    pairs: float
    time: float


def stored_transitions(arrays: Mapping[str, Any], attributes: Mapping[str, Any]) -> Transitions:
    """Return what a `transitions.h5` holds, without the evidence of each pair.

    Args:
        arrays: edges, log_ratio, seeds and background.
        attributes: gain and error.
    """
    return Transitions(
        edges=arrays["edges"][:],
        log_ratio=arrays["log_ratio"][:],
        seeds=arrays["seeds"][:],
        background=arrays["background"][:],
        evidence=np.zeros(0, np.float32),
        gain=float(attributes["gain"]),
        error=float(attributes["error"]),
    )


def camera_labels(names: Sequence[str], cameras: np.ndarray) -> list[str]:
    """Return what to call each camera of the transitions.

    Args:
        names: of the cameras 0, 1, ...; there may be more.
        cameras: int (N,), of the images that they were learnt from, -1 unknown.
    """
    known = list(names[: int(cameras.max(initial=-1)) + 1])
    return [*known, "unknown"] if (cameras < 0).any() else known


def typical_ways(found: Transitions) -> list[Way]:
    """Return the ways that more people take than chance brings, the busiest first.

    The pairs beyond chance are max(0, seeds - background x all seeds) in each bin. A way counts if
    they are at least 10, and three times the root of what chance brings. Two cameras can have a way
    there and a way back.
    """
    middles = bin_middles(found.edges)
    ways = []
    for a, b in zip(*np.nonzero(found.seeds.sum(axis=2)), strict=True):
        seeds = found.seeds[a, b]
        chance = found.background[a, b] * seeds.sum()
        beyond = np.maximum(seeds - chance, 0)
        for first, then, side in ((a, b, middles > 0), (b, a, middles < 0)):
            pairs = float(beyond[side].sum())
            if pairs >= max(_LEAST_PAIRS, _SPREADS * float(chance[side].sum()) ** 0.5):
                time = _median(np.abs(middles[side]), beyond[side])
                ways.append(Way(int(first), int(then), pairs, time))
    return sorted(ways, key=lambda way: (-way.pairs, way.first, way.then))


def bin_middles(edges: np.ndarray) -> np.ndarray:
    """Return the middle of each bin; the outer ones end where one more step would.

    Args:
        edges: float64 (B - 1,), ascending and symmetric about 0.

    Returns:
        float64 (B,); with just the edge 0 (no times are known) NaN.
    """
    first, last = outer_edges(edges)
    bounds = np.concatenate([[first], edges, [last]])
    return (bounds[:-1] + bounds[1:]) / 2


def outer_edges(edges: np.ndarray) -> tuple[float, float]:
    """Return where the outer bins end: one more step; with just the edge 0 NaN, NaN."""
    if len(edges) < 3:
        return float("nan"), float("nan")
    growth = edges[-1] / edges[-2] if len(edges) > 3 else _GROWTH
    return float(edges[0] * growth), float(edges[-1] * growth)


def time_length(length: float, unit: str) -> str:
    """Return a length of time for people: 35 s, 4 min, 2.1 h, 3.5 days, 250 frames.

    Args:
        length: at least 0.
        unit: seconds or frames.
    """
    if unit != "seconds":
        return _counted(_short(length), unit)
    for limit, size, name in _UNITS:
        if length < 0.995 * limit:  # 59.9 s are 1 min
            return f"{_short(length / size)} {name}"
    return _counted(_short(length / 86_400), "days")


def _counted(number: str, plural: str) -> str:
    return f"1 {plural.removesuffix('s')}" if number == "1" else f"{number} {plural}"


def _short(number: float) -> str:
    """Return a number with two digits that count, or as a whole number."""
    if number >= 9.95 or number == 0:
        return f"{number:,.0f}"
    return f"{number:.2g}"


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the value in the middle of weighted values."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(reached, reached[-1] / 2)]])
