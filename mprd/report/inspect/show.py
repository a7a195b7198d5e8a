"""Print what was found, for people."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from mprd.errors import many
from mprd.report.inspect.describe import Description
from mprd.report.inspect.difference import Difference
from mprd.report.plain import plain

_WIDTH = 140  # where the output is no terminal
_LISTED = 8


def show(description: Description) -> None:
    """Print one file: facts, contents, check."""
    console = _console()
    title = f"{description.path}: {description.kind}"
    if "schema_version" in description.facts:
        title += f" version {description.facts['schema_version']}"
    console.print(plain(f"{title}. {description.text}"))
    for key, value in description.facts.items():
        console.print(plain(f"  {key}: {_fact(key, value)}"))
    if description.rows:
        console.print(_grid(description.columns, description.rows))
    if description.verdict:
        console.print(description.verdict)


def show_rows(table: pd.DataFrame) -> None:
    """Print a table of images or pairs."""
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    _console().print(_grid([str(column) for column in table.columns], rows))


def show_difference(found: Difference, a: Path, b: Path) -> None:
    """Print what became of the clusters of A in B."""
    console = _console()
    console.print(plain(f"A  {a}: {_counts(found, 0)}"))
    console.print(plain(f"B  {b}: {_counts(found, 1)}"))
    console.print(f"{many(found.images, 'image')}, {found.moved:,} of them moved")
    if any(found.only_in):
        only = f"{found.only_in[0]:,} only in A, {found.only_in[1]:,} only in B"
        console.print(f"not compared: {only}")
    console.print(
        f"pairs together in A: precision {found.precision:.3f} (share that B holds together, too), "
        f"recall {found.recall:.3f} (share of those of B), F1 {found.agreement:.3f}"
    )
    console.print(f"adjusted Rand index: {found.ari:.3f}")
    console.print(f"unchanged clusters: {found.unchanged}")
    joined = (f"{', '.join(map(str, of))} -> {to}" for to, of in found.merged)
    parted = (f"{of} -> {', '.join(map(str, to))}" for of, to in found.split)
    console.print(f"merged (A -> B): {_listed(joined, len(found.merged))}")
    console.print(f"split (A -> B): {_listed(parted, len(found.split))}")
    console.print(f"dissolved (A): {_listed(map(str, found.dissolved), len(found.dissolved))}")
    console.print(f"new (B): {_listed(map(str, found.new), len(found.new))}")


def _counts(found: Difference, of: int) -> str:
    return f"{many(found.clusters[of], 'cluster')}, {many(found.outliers[of], 'outlier')}"


def _listed(items: Iterable[str], count: int) -> str:
    shown = [item for item, _ in zip(items, range(_LISTED), strict=False)]
    more = f"; {count - _LISTED} more" if count > _LISTED else ""
    return f"{count}" + (f": {'; '.join(shown)}{more}" if count else "")


def _console() -> Console:
    return Console(width=None if Console().is_terminal else _WIDTH, soft_wrap=True)


def _fact(key: str, value: Any) -> str:
    if key == "inputs" and isinstance(value, dict):
        return ", ".join(f"{role} {digest[:12]}" for role, digest in value.items()) or "none"
    return "NaN" if value is None else str(value)


def _grid(columns: Iterable[str], rows: list[dict[str, Any]]) -> Table:
    grid = Table()
    for column in columns:
        grid.add_column(plain(column), overflow="fold")
    for row in rows:
        grid.add_row(*(plain(_cell(row.get(column))) for column in columns))
    return grid


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " x ".join(map(str, value)) or "scalar"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
