"""Read metrics tables, and print them for people."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from mprd.errors import UserError
from mprd.report.columns import COLUMNS, Column, number

# What names a row, and how many runs a row of a summary stands for.
_LABELS = {"variant": "variant", "model": "epoch", "seeds": "seeds"}


def read_table(path: Path) -> pd.DataFrame:
    """Read a table `metrics.csv` or `summary.csv`."""
    try:
        return pd.read_csv(path, dtype={"model": str})
    except (FileNotFoundError, pd.errors.ParserError, pd.errors.EmptyDataError):
        raise UserError(f"{path} is not a metrics table. Make it with `mprd table`.") from None


def print_table(table: pd.DataFrame, title: Path) -> None:
    """Print a metrics or summary table; retrieval in percent, spread behind +-."""
    summary = "variant" in table.columns
    labels = [key for key in _LABELS if key in table.columns]
    shown = [
        column
        for column in COLUMNS
        if column.title and (column.in_summary or not summary) and _has_values(table, column.name)
    ]
    grid = Table(title=str(title), title_justify="left")
    for key in labels:
        grid.add_column(_LABELS[key], justify="right" if key == "seeds" else "left")
    for column in shown:
        grid.add_column(column.title, justify="right")
    for _, row in table.iterrows():
        grid.add_row(*(str(row[key]) for key in labels), *(_cell(row, c) for c in shown))
    Console(width=None if Console().is_terminal else 180).print(grid)


def _has_values(table: pd.DataFrame, name: str) -> bool:
    return name in table.columns and bool(table[name].notna().any())


def _cell(row: pd.Series, column: Column) -> str:
    value = row[column.name]
    if pd.isna(value):
        return ""
    text = number(float(value), column)
    spread = row.get(f"{column.name}_std")
    return text if spread is None or pd.isna(spread) else f"{text} ± {number(spread, column)}"
