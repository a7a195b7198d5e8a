"""Metrics tables: read, printed for people, and as TensorBoard events (the extra `tracking`)."""

from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from mprd.artifacts.csv_rows import for_pandas
from mprd.errors import UserError, why_no_file
from mprd.report.columns import COLUMNS, Column, number
from mprd.report.plain import plain

# What names a row, and how many runs a row of a summary stands for.
_LABELS = {"variant": "variant", "model": "epoch", "seeds": "seeds"}


def read_table(path: Path) -> pd.DataFrame:
    """Read a table `metrics.csv` or `summary.csv`."""
    if not path.exists() or path.is_dir():
        raise UserError(
            f"{path} is not a metrics table: {why_no_file(path)}. Make it with `mprd table`."
        )
    try:
        table = pd.read_csv(for_pandas(path), dtype={"model": str})
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError):
        table = pd.DataFrame()
    known = [column.name for column in COLUMNS if column.name in table.columns]
    if not len(table) or not {"model", "variant"} & {*table.columns} or _texts(table[known]):
        raise UserError(f"{path} is not a metrics table. Make it with `mprd table`.")
    return table


def _texts(table: pd.DataFrame) -> bool:
    """Tell whether some columns hold what is no number."""
    return any(not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes)


def print_table(table: pd.DataFrame, title: Path) -> None:
    """Print a metrics or summary table; retrieval in percent, spread behind +-."""
    summary = "variant" in table.columns
    labels = [key for key in _LABELS if key in table.columns]
    shown = [
        column
        for column in COLUMNS
        if column.title and (column.in_summary or not summary) and _has_values(table, column.name)
    ]
    grid = Table(title=plain(title), title_justify="left")
    for key in labels:
        grid.add_column(_LABELS[key], justify="right" if key == "seeds" else "left")
    for column in shown:
        grid.add_column(column.title, justify="right")
    for _, row in table.iterrows():
        grid.add_row(*(plain(row[key]) for key in labels), *(_cell(row, c) for c in shown))
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


class EventWriter:
    """Scalars of the epochs as events, each written once, into a folder emptied of older ones."""

    def __init__(self, folder: Path) -> None:
        """Begin anew.

        Args:
            folder: of the events of one run; made if it is not there.

        Raises:
            UserError: TensorBoard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError("TensorBoard is missing. Run: pip install 'mprd[tracking]'") from None
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer = SummaryWriter(str(folder))
        self._written: set[tuple[str, str]] = set()

    def close(self) -> None:
        """End."""
        self._writer.close()

    def write(self, table: pd.DataFrame) -> None:
        """Write what is new.

        Args:
            table: as in `metrics.csv`; rows of baselines are passed over, the initial model is
                step 0.
        """
        for row in table.to_dict("records"):
            model = "0" if row["model"] == "init" else str(row["model"])
            if not model.isdecimal():
                continue
            for column in COLUMNS:
                value = row[column.name]
                if (model, column.name) not in self._written and pd.notna(value):
                    tag = f"{column.source.name.lower()}/{column.name}"
                    self._writer.add_scalar(tag, float(value), int(model))
                    self._written.add((model, column.name))
        self._writer.flush()
