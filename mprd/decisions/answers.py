"""A person's answers: pairs of images that are one identity, and pairs that are not."""

from pathlib import Path

import numpy as np
import pandas as pd

from mprd.artifacts.csv_rows import for_pandas, require_narrow
from mprd.decisions.entry import Kind
from mprd.decisions.log import in_effect, read_decisions
from mprd.decisions.reading import is_log
from mprd.errors import UserError, many, why_no_file

_LARGEST = 10**9  # number of a cluster, so that new ones behind it fit into the file
_AUDIT_COLUMN = "stratum"  # tells the file of an audit from other answers
_WORDS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def read_answers(path: Path, rows: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Read judged pairs, of a log of decisions or a CSV `path_a,path_b,same`.

    In the CSV same is 1 or 0; lines without an answer are passed over.

    Args:
        path: the file.
        rows: path of each training image -> training row.

    Returns:
        Pairs of training rows int64 (p, 2), and whether each is one identity, bool (p,).

    Raises:
        UserError: unreadable, other columns, answers of an audit, unknown paths, an image paired
            with itself, a pair with two answers.
    """
    table = _judged(path) if is_log(path) else read_csv(path, ("path_a", "path_b", "same"))
    if _AUDIT_COLUMN in table.columns:
        raise UserError(
            f"{path} holds the answers of an audit, which measure clusters. They could not measure "
            "clusters that were made from them. Answer other pairs with `mprd answer`, or copy the "
            "columns path_a, path_b and same into a file of their own."
        )
    answer = table["same"].str.strip().str.lower()
    table, answer = table[answer != ""], answer[answer != ""]
    wrong = answer[~answer.isin(list(_WORDS))]
    if len(wrong):
        raise UserError(f"{path}: same is {wrong.iloc[0]!r} in a line. Write 1, 0 or nothing.")
    first, second = (rows_of(table[key], rows, path) for key in ("path_a", "path_b"))
    same = answer.map(_WORDS).to_numpy(bool)
    if (first == second).any():
        raise UserError(f"{path} pairs an image with itself. Remove that line.")
    pair = pd.Series(list(zip(np.minimum(first, second), np.maximum(first, second), strict=True)))
    mixed = pd.Series(same).groupby(pair).transform("nunique").to_numpy() > 1
    if mixed.any():
        a, b = table[["path_a", "path_b"]].iloc[int(np.argmax(mixed))]
        raise UserError(f"{path} calls {a} and {b} both the same and different. Keep one answer.")
    return np.stack([first, second], axis=1), same


def _judged(path: Path) -> pd.DataFrame:
    """Return the pairs of a log of decisions that a person judged one by one."""
    holding = in_effect(read_decisions(path))
    pairs = [one for one in holding if one.kind in (Kind.SAME, Kind.DIFFERENT)]
    rows = [(one.images[0], one.others[0], str(int(one.kind is Kind.SAME))) for one in pairs]
    return pd.DataFrame(rows, columns=["path_a", "path_b", "same"], dtype=str)


def read_csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV of text cells and check its columns.

    Raises:
        UserError: missing, unreadable, or a column is not there.
    """
    if not path.exists() or path.is_dir():
        raise UserError(f"{why_no_file(path)}. Name a CSV file, or leave the setting out.")
    try:
        require_narrow(path)
        table = pd.read_csv(for_pandas(path), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as a CSV file ({error}).") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas would take the first cells for names
        raise UserError(
            f"{path} has lines with more cells than its first line. Remove what is behind the last "
            "of them, such as a comma."
        )
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise UserError(
            f"{path} has no column `{missing[0]}`. Its first line must be {','.join(columns)}."
        )
    return table


def rows_of(paths: pd.Series, rows: dict[str, int], source: Path) -> np.ndarray:
    """Return the training row of each path, int64.

    Raises:
        UserError: a path is no training image.
    """
    unknown = [path for path in paths if path not in rows]
    if unknown:
        raise UserError(
            f"{source}: {unknown[0]} is not a training image of the index "
            f"({many(len(unknown), 'such path')}). Write paths as `mprd inspect index.h5` shows "
            "them."
        )
    return np.array([rows[path] for path in paths], np.int64)
