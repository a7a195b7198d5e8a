"""`report.html` of one run, and of several side by side."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from bokeh.plotting import figure

from mprd.report.columns import COLUMNS, Column, number
from mprd.report.page.blocks import Plots, Section, Table
from mprd.report.page.clusters import clusters, outliers
from mprd.report.page.cost import cost, duration, jobs
from mprd.report.page.embedding_map import embedding_map
from mprd.report.page.found import found
from mprd.report.page.health import health
from mprd.report.page.network import network
from mprd.report.page.pairs import pairs
from mprd.report.page.plots import lines
from mprd.report.page.render import render
from mprd.report.page.retrieval import retrieval
from mprd.report.page.run_data import RunData
from mprd.report.page.settings import flat_settings, settings
from mprd.report.page.start import start
from mprd.report.page.training import training

SECTIONS = (
    found,
    clusters,
    outliers,
    health,
    start,
    retrieval,
    training,
    pairs,
    network,
    embedding_map,
    cost,
    settings,
)
_MOST_CURVES = 7  # that can be told apart
_CURVES = {"mAP": "mAP", "rank-1": "rank1", "self-agreement": "health", "loss": "loss"} | {
    "clusters": "clusters",
    "pair precision": "pair_precision",
    "recall across cameras": "cross_recall",
}


def run_page(folder: Path) -> str:
    """Return the page of a finished run.

    Raises:
        UserError: the run is not finished, or an artifact is damaged.
    """
    run = RunData(folder)
    sections = [section for make in SECTIONS if (section := make(run)) is not None]
    return render(f"mprd: {run.name}", sections, run.thumbnails)


def comparison_page(folders: Sequence[Path]) -> str:
    """Return the page of some finished runs.

    Args:
        folders: of the runs, in the order in which they are shown.

    Raises:
        UserError: a run is not finished.
    """
    runs = dict(zip(_names(folders), map(RunData, folders), strict=True))
    titled = [column for column in COLUMNS if column.title]
    last = {name: run.last for name, run in runs.items()}
    known = [c for c in titled if any(pd.notna(row[c.name]) for row in last.values())]
    results = Table(
        ("run", *(column.title for column in known), "time"),
        [[name, *_row(run, last[name], known)] for name, run in runs.items()],
    )
    return render(
        "mprd: runs side by side",
        [
            Section("results", "Results", "After the last epoch.", (results,)),
            Section("settings", "Settings that differ", "", (_differences(runs),)),
            Section("curves", "Training", _which(runs), (Plots(list(_plots(runs))),)),
        ],
    )


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the names of the folders, or whole paths where two would be called alike."""
    names = [folder.name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder) for folder in folders]


def _row(run: RunData, last: pd.Series, columns: Sequence[Column]) -> list[str]:
    measured = jobs(run)
    seconds = math.nan if measured.empty else float(measured["s"].sum())
    cells = [number(float(last[c.name]), c) if pd.notna(last[c.name]) else "" for c in columns]
    return [*cells, "" if math.isnan(seconds) else duration(seconds)]


def _differences(runs: Mapping[str, RunData]) -> Table:
    """Return the settings that are not the same in all runs."""
    settings = [flat_settings(run.config) for run in runs.values()]
    keys = list(dict.fromkeys(key for values in settings for key in values))
    rows = [[key, *(values.get(key, "") for values in settings)] for key in keys]
    return Table(("setting", *runs), [row for row in rows if len({*row[1:]}) > 1])


def _which(runs: Mapping[str, RunData]) -> str:
    if len(runs) <= _MOST_CURVES:
        return "Click a name to hide its curve."
    return f"The first {_MOST_CURVES} of {len(runs)} runs. Click a name to hide its curve."


def _plots(runs: Mapping[str, RunData]) -> Iterator[figure]:
    tables = {n: run.epochs.set_index("epoch") for n, run in [*runs.items()][:_MOST_CURVES]}
    epochs = sorted({epoch for table in tables.values() for epoch in table.index})
    for title, column in _CURVES.items():
        curves = {name: table[column].reindex(epochs) for name, table in tables.items()}
        if any(curve.notna().any() for curve in curves.values()):
            values = {name: curve.astype(float).tolist() for name, curve in curves.items()}
            yield lines(title, epochs, values)
