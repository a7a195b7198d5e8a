"""Interactive plots, by Bokeh. They read on light and on dark ground."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool
from bokeh.models.annotations import Legend, LegendItem, Title
from bokeh.palettes import Category20_20
from bokeh.plotting import figure

# Okabe and Ito's colours, told apart by colour-blind eyes.
COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#8C8C8C")
_GREY = "#888888"
_MARK_SIZE = 6  # pixels
_BARS = 40  # of a histogram, at most
_LEGEND_COLUMNS = 2  # what a phone has room for


def lines(
    title: str, x: Sequence[float], series: Mapping[str, Sequence[float]], x_label: str = "epoch"
) -> figure:
    """Plot curves over one axis; missing values (NaN) are bridged.

    Args:
        title: of the plot.
        x: positions, ascending.
        series: name -> values at x.
        x_label: name of the axis.
    """
    plot = plain_figure(title, x_label)
    plot.add_tools(HoverTool(tooltips=[(x_label, "@x"), ("$name", "@y{0.000}")]))
    items = []
    for color, (name, values) in zip(COLORS, series.items(), strict=False):
        known = ~np.isnan(np.asarray(values, float))
        source = ColumnDataSource({"x": np.asarray(x)[known], "y": np.asarray(values)[known]})
        style: dict[str, Any] = {"source": source, "color": color, "name": name}
        renderers: list[Any] = [
            plot.line("x", "y", line_width=2, **style),
            plot.scatter("x", "y", size=_MARK_SIZE, **style),
        ]
        items.append(LegendItem(label=name, renderers=renderers))
    plot.add_layout(_legend(items), "above")
    return plot


def histogram(title: str, values: np.ndarray, x_label: str, y_label: str) -> figure:
    """Plot how often each whole number from 1 on occurs."""
    largest = int(values.max(initial=1))
    width = -(-largest // _BARS)
    edges = np.arange(1, largest + width + 1, width)
    counts, _ = np.histogram(values, edges)
    source = ColumnDataSource(
        {"left": edges[:-1], "right": edges[1:], "top": counts, "last": edges[1:] - 1}
    )
    plot = plain_figure(title, x_label, y_label)
    plot.add_tools(HoverTool(tooltips=[(x_label, "@left to @last"), (y_label, "@top")]))
    plot.quad(
        left="left", right="right", top="top", bottom=0, source=source, color=COLORS[0], alpha=0.8
    )
    return plot


def bars(title: str, names: Sequence[str], values: Sequence[float], x_label: str) -> figure:
    """Plot one bar for each name, the first on top."""
    plot = plain_figure(title, x_label, y_range=list(reversed(names)))
    plot.add_tools(HoverTool(tooltips=[("", "@name"), (x_label, "@value{0,0.0}")]))
    source = ColumnDataSource({"name": list(names), "value": list(values)})
    plot.hbar(y="name", right="value", height=0.7, source=source, color=COLORS[0], alpha=0.8)
    plot.height = 60 + 26 * max(len(names), 3)
    return plot


def maps(
    points: np.ndarray, images: Sequence[str], texts: Sequence[str], groups: Mapping[str, list[str]]
) -> list[figure]:
    """Plot points in a plane once for each grouping; all share axes, and hovering shows the image.

    Args:
        points: float (n, 2).
        images: address of the picture of each point.
        texts: what is said of each point; plain text.
        groups: title -> colour of each point.
    """
    columns: dict[str, Any] = {
        "x": points[:, 0],
        "y": points[:, 1],
        "image": list(images),
        "text": list(texts),
    }
    columns |= {f"color{i}": colors for i, colors in enumerate(groups.values())}
    source = ColumnDataSource(columns)
    plots: list[figure] = []
    for i, title in enumerate(groups):
        first = plots[0] if plots else None
        shared: dict[str, Any] = (
            {"x_range": first.x_range, "y_range": first.y_range} if first else {}
        )
        plot = plain_figure(title, tools="pan,wheel_zoom,box_zoom,reset", height=420, **shared)
        plot.axis.visible = False
        plot.grid.visible = False
        plot.scatter("x", "y", source=source, color=f"color{i}", size=_MARK_SIZE, alpha=0.8)
        plot.add_tools(HoverTool(tooltips='<img src="@image"><br>@text'))
        plots.append(plot)
    return plots


def heat_map(
    title: str, rows: Sequence[str], edges: Sequence[str], values: np.ndarray, x_label: str
) -> figure:
    """Plot a table of numbers: blue above 0, orange below, the paler the nearer to 0.

    Args:
        title: of the plot.
        rows: names, from the top.
        edges: what lies between the columns; "" is not written.
        values: float (rows, columns).
        x_label: name of the axis.
    """
    top, column = np.indices(values.shape)
    largest = max(float(np.abs(values).max(initial=0)), 1e-9)
    bounds = ["", *edges, ""]
    source = ColumnDataSource(
        {
            "x": column.ravel() + 0.5,
            "y": np.asarray(rows, object)[top.ravel()],
            "value": values.ravel(),
            "alpha": np.abs(values.ravel()) / largest,
            "color": [COLORS[0] if value > 0 else COLORS[1] for value in values.ravel()],
        }
    )
    plot = plain_figure(title, x_label, y_range=list(reversed(rows)), x_range=(0, values.shape[1]))
    plot.add_tools(HoverTool(tooltips=[("", "@y"), ("", "@value{+0.0}")]))
    plot.rect("x", "y", 1, 0.9, source=source, color="color", alpha="alpha", line_alpha=0)
    plot.xaxis.ticker = [n for n, bound in enumerate(bounds) if bound]
    plot.xaxis.major_label_overrides = {n: bound for n, bound in enumerate(bounds) if bound}
    plot.ygrid.visible = False
    plot.height = 90 + 22 * max(len(rows), 3)
    return plot


def group_colors(groups: np.ndarray) -> list[str]:
    """Return a colour for each point: one for each group, as far apart as they go; -1 is grey.

    Args:
        groups: int (n,).
    """
    return [_GREY if group < 0 else Category20_20[group % len(Category20_20)] for group in groups]


def plain_figure(title: str, x_label: str = "", y_label: str = "", **options: Any) -> figure:
    """Return an empty plot in the style of all."""
    settings: dict[str, Any] = {"height": 260, "tools": "pan,box_zoom,reset,save"} | options
    plot = figure(
        title=Title(text=title, text_color=_GREY),
        sizing_mode="stretch_width",
        background_fill_alpha=0,
        border_fill_alpha=0,
        outline_line_color=None,
        x_axis_label=x_label,
        y_axis_label=y_label,
        **settings,
    )
    plot.toolbar.logo = None
    plot.toolbar.autohide = True
    plot.grid.grid_line_color = _GREY
    plot.grid.grid_line_alpha = 0.25
    for part in ("axis_line", "major_tick_line", "minor_tick_line"):
        setattr(plot.axis, f"{part}_color", _GREY)
    plot.axis.axis_label_text_color = _GREY
    plot.axis.major_label_text_color = _GREY
    return plot


def _legend(items: list[LegendItem]) -> Legend:
    """Return a legend in columns, whose names hide their curves at a click."""
    style: dict[str, Any] = {"margin": 0, "padding": 0, "spacing": 4}
    style |= {"background_fill_alpha": 0, "border_line_alpha": 0, "label_text_color": _GREY}
    columns = min(len(items), _LEGEND_COLUMNS)
    return Legend(items=items, ncols=columns, click_policy="hide", location="left", **style)
