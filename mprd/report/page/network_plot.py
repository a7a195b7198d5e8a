"""Cameras and the ways between them, as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool
from bokeh.plotting import figure

from mprd.evidence.travel import Way, time_length
from mprd.report.page.plots import COLORS, plain_figure

_NODE = "#4A5560"  # white text on it is read on light and dark ground
_BEND = 0.16  # of a way, to its right, relative to its length
_LABEL_AT = (0.42, 0.34, 0.5, 0.26, 0.58, 0.66)  # of the way, the best first
_LABEL_ROOM = 0.3  # between the middles of two labels, if that can be
_GAP = 0.16  # between a camera's middle and the end of a way, at most
_LOW, _HIGH, _CAMERA = 300, 800, 40  # height of the picture and what a camera adds, pixels
_THIN, _THICK = 1.5, 9.0  # lines, pixels
_STEPS = 30  # of a curve


@dataclass(frozen=True)
class _Curve:
    """A way as points of the plane, (n, 2)."""

    points: np.ndarray

    def at(self, share: float) -> np.ndarray:
        return self.points[round(share * (len(self.points) - 1))]

    @property
    def direction(self) -> float:
        """Of its head, in radians from the x axis."""
        x, y = self.points[-1] - self.at(0.92)
        return float(np.arctan2(y, x))


def network_plot(title: str, names: Sequence[str], ways: Sequence[Way], unit: str) -> figure:
    """Plot cameras on a circle, near ones side by side, and ways as arrows with typical times.

    Args:
        title: of the plot.
        names: of the cameras.
        ways: between two cameras; the width of an arrow says how many take it.
        unit: of their times.
    """
    places = circle(len(names), ways)
    busiest = max((way.pairs for way in ways), default=1.0)
    apart = float(np.linalg.norm(places[0] - places[1:], axis=1).min(initial=2.0))
    curves = [_curve(places[way.first], places[way.then], apart) for way in ways]
    height = min(_LOW + _CAMERA * max(len(names), 4), _HIGH)
    labels = _label_places(curves)
    plot = plain_figure(title, height=height, match_aspect=True, tools="pan,wheel_zoom,reset,save")
    plot.x_range = DataRange1d(range_padding=0.2)
    plot.y_range = DataRange1d(range_padding=0.2)
    plot.axis.visible = False
    plot.grid.visible = False
    widths = [_THIN + (_THICK - _THIN) * way.pairs / busiest for way in ways]
    source = ColumnDataSource(
        {
            "xs": [curve.points[:, 0] for curve in curves],
            "ys": [curve.points[:, 1] for curve in curves],
            "width": widths,
            "head": [10 + width for width in widths],
            "head_x": [curve.points[-1, 0] for curve in curves],
            "head_y": [curve.points[-1, 1] for curve in curves],
            "angle": [curve.direction - np.pi / 2 for curve in curves],
            "x": labels[:, 0],
            "y": labels[:, 1],
            "time": [time_length(way.time, unit) for way in ways],
            "pairs": [way.pairs for way in ways],
            "way": [f"{names[way.first]} before {names[way.then]}" for way in ways],
        }
    )
    lines = plot.multi_line(
        "xs", "ys", source=source, line_width="width", color=COLORS[4], alpha=0.75
    )
    plot.scatter(
        "head_x", "head_y", source=source, size="head", angle="angle", marker="triangle",
        color=COLORS[4],
    )  # fmt: skip
    _words(plot, source, "time", COLORS[0], "11px")
    cameras = ColumnDataSource({"x": places[:, 0], "y": places[:, 1], "name": list(names)})
    _words(plot, cameras, "name", _NODE, "14px", padding=7)
    tooltips = [("", "@way"), ("typical time", "@time"), ("probable pairs", "@pairs{0,0}")]
    plot.add_tools(HoverTool(renderers=[lines], tooltips=tooltips, line_policy="interp"))
    return plot


def circle(count: int, ways: Sequence[Way]) -> np.ndarray:
    """Return places on a circle, float64 (count, 2): cameras that are near in time side by side."""
    places = np.empty((count, 2))
    turn = np.pi / 2 - 2 * np.pi * np.arange(count) / max(count, 1)
    places[_round_trip(_farness(count, ways))] = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return places


def _farness(count: int, ways: Sequence[Way]) -> np.ndarray:
    """Return the logarithm of the shortest typical time between cameras, symmetric."""
    time = np.full((count, count), np.inf)
    for way in ways:
        for ends in ((way.first, way.then), (way.then, way.first)):
            time[ends] = min(time[ends], way.time)
    known = np.isfinite(time)
    if not known.any():
        return np.ones((count, count))
    far = np.log(np.where(known, time, time[known].max() * 4))
    return far - far.min() + 1


def _round_trip(far: np.ndarray) -> list[int]:
    """Return a short round trip: improved by turning stretches of it as long as that helps."""
    order = list(range(len(far)))
    for _ in range(len(far)):  # it ends long before
        length = _length(order, far)
        for i, j in combinations(range(1, len(order) + 1), 2):
            turned = order[:i] + order[i:j][::-1] + order[j:]
            if _length(turned, far) < _length(order, far) - 1e-12:
                order = turned
        if _length(order, far) == length:
            break
    return order


def _length(order: Sequence[int], far: np.ndarray) -> float:
    return float(far[list(order), np.roll(list(order), -1)].sum())


def _curve(start: np.ndarray, end: np.ndarray, apart: float) -> _Curve:
    """Return the way from one place on the circle to another.

    Args:
        start: (2,).
        end: (2,).
        apart: how far neighbours on the circle are apart.
    """
    along = end - start
    to_the_right = np.array([along[1], -along[0]])
    outside = float(to_the_right @ (start + end)) > 1e-9
    beside = np.linalg.norm(along) < 1.1 * apart
    bend = 0 if outside and not beside else _BEND  # not through the cameras in between
    middle = (start + end) / 2 + 2 * bend * to_the_right
    t = np.linspace(0, 1, 10 * _STEPS)[:, None]
    points = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
    away = np.minimum(*(np.linalg.norm(points - place, axis=1) for place in (start, end)))
    return _Curve(points[away > min(_GAP, 0.25 * apart)][::10])


def _label_places(curves: Sequence[_Curve]) -> np.ndarray:
    """Return a place on each curve, float64 (n, 2), that keeps away from those before it."""
    places = np.empty((len(curves), 2))
    for n, curve in enumerate(curves):
        choices = np.stack([curve.at(share) for share in _LABEL_AT])
        away = np.linalg.norm(choices[:, None] - places[:n], axis=2).min(axis=1, initial=np.inf)
        places[n] = choices[np.argmax(np.minimum(away, _LABEL_ROOM))]
    return places


def _words(
    plot: figure, source: ColumnDataSource, field: str, ground: str, size: str, padding: int = 3
) -> None:
    """Write words in white on coloured ground."""
    style: dict[str, Any] = {"text_color": "#FFFFFF", "text_font_size": size}
    style |= {"text_align": "center", "text_baseline": "middle", "padding": padding}
    style |= {"background_fill_color": ground, "border_radius": 6}
    plot.text("x", "y", text=field, source=source, **style)
