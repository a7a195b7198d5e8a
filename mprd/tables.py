"""Print metrics tables for people."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

_PERCENT = {"mAP", "rank1", "rank5", "rank10", "mINP"}
_COUNT = {"clusters", "outliers", "seeds"}
_SHOWN = {
    "variant": "variant",
    "model": "epoch",
    "seeds": "seeds",
    "clusters": "clusters",
    "outliers": "outliers",
    "loss": "loss",
    "mAP": "mAP",
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "nmi": "NMI",
    "pair_precision": "pair prec.",
    "pair_recall": "pair recall",
    "pos_prec": "pos. prec.",
    "pos_prec_kept": "kept",
    "neg_prec": "neg. prec.",
    "neg_prec_kept": "kept ",
}


# A summary's cells hold a spread, too: fewer fit on a line.
_NOT_IN_SUMMARY = {"outliers", "loss", "rank5", "rank10", "pair_recall"}


def print_table(table: pd.DataFrame, title: Path) -> None:
    """Print a metrics or summary table; retrieval in percent, spread behind +-."""
    shown = [key for key in _SHOWN if key in table.columns and table[key].notna().any()]
    if "variant" in table.columns:
        shown = [key for key in shown if key not in _NOT_IN_SUMMARY]
    grid = Table(title=str(title), title_justify="left")
    for key in shown:
        text = key in ("variant", "model")
        grid.add_column(_SHOWN[key], justify="left" if text else "right")
    for _, row in table.iterrows():
        grid.add_row(*(_cell(row, key) for key in shown))
    Console(width=None if Console().is_terminal else 180).print(grid)


def _cell(row: pd.Series, key: str) -> str:
    value = row[key]
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ""
    text = _number(float(value), key)
    spread = row.get(f"{key}_std")
    return text if spread is None or pd.isna(spread) else f"{text} ± {_number(spread, key)}"


def _number(value: float, key: str) -> str:
    if key in _COUNT:
        return f"{value:.0f}"
    if key in _PERCENT:
        return f"{100 * value:.1f}"
    return f"{value:.3f}"
