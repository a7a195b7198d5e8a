"""The matches of a search as a table."""

import csv
from pathlib import Path

from mprd.artifacts import atomic
from mprd.inference.find import Found

COLUMNS = (
    *("query", "query_camera", "query_time", "query_track", "query_side", "rank"),
    *("path", "similarity", "evidence", "camera", "time", "track", "side"),
)


def write_matches(found: Found, out: Path, at_least: float = -1.0) -> int:
    """Write a CSV with a row for each match; what is not known is empty.

    Args:
        found: of `find_images`.
        out: the file.
        at_least: less similar ones are left out.

    Returns:
        Number of matches.
    """
    rows = found.rows(at_least)
    with (
        atomic(out, lock=False) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)
