"""Stage `table`: one row per evaluation and epoch of a run, and a summary over runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mprd.artifacts import CLUSTERS, atomic, read_artifact, read_json
from mprd.errors import UserError

_RETRIEVAL = ("mAP", "rank1", "rank5", "rank10", "mINP")
_QUALITY = ("nmi", "ari", "pair_precision", "pair_recall")
# Shares of judged hard pairs that are right, before and after the relation filter (`use_gcn`).
_RELATIONS = {
    "pos_prec": "positive_precision",
    "pos_prec_kept": "positive_precision_kept",
    "neg_prec": "negative_precision",
    "neg_prec_kept": "negative_precision_kept",
}
COLUMNS = ("model", "clusters", "outliers", "eps", "loss", *_RETRIEVAL, *_QUALITY, *_RELATIONS)
INITIAL = "init"


def run_table(run: Path, out: Path) -> None:
    """Collect what the stages of a run reported into a CSV.

    Rows: baselines, the initial model (`init`), then every epoch that is complete. Figures of
    retrieval are shares in [0, 1].

    Args:
        run: folder of the run.
        out: CSV to write.

    Raises:
        UserError: the run has no complete epoch or a report is damaged.
    """
    rows = [_evaluation_row(run, name) for name in ("histogram", "random", "000")]
    rows += [_epoch_row(run, folder) for folder in _epochs(run)]
    table = pd.DataFrame([row for row in rows if row], columns=list(COLUMNS))
    _write_csv(table, out)


def run_summary(tables: Sequence[Path], variants: Sequence[str], out: Path) -> None:
    """Average the first and last rows of several runs: mean and standard deviation over seeds.

    Shares of the relation filter are first averaged over the epochs of each run.

    Args:
        tables: `metrics.csv` of each run.
        variants: variant that each run belongs to.
        out: CSV to write: variant, model, seeds, and `<figure>` and `<figure>_std` of each.
    """
    frames = []
    for path, variant in zip(tables, variants, strict=True):
        table = read_table(path)
        last = table["model"].iloc[-1]
        # The last epoch of each run stands in one row, whatever its number.
        table["model"] = table["model"].where(table["model"] != last, "last epoch")
        # The filter has work in early epochs most of all: its shares are means over the epochs.
        table = table.assign(**table[list(_RELATIONS)].mean())
        chosen = table[table["mAP"].notna() | (table["model"] == "last epoch")].copy()
        chosen.loc[chosen["model"] != "last epoch", list(_RELATIONS)] = float("nan")
        frames.append(chosen.assign(variant=variant))
    grouped = pd.concat(frames).groupby(["variant", "model"], sort=False)
    figures = ["clusters", "outliers", "loss", *_RETRIEVAL, *_QUALITY, *_RELATIONS]
    summary = grouped[figures].mean()
    spread = grouped[figures].std(ddof=1).add_suffix("_std")
    summary.insert(0, "seeds", grouped.size())
    _write_csv(summary.join(spread).reset_index(), out)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table that this stage wrote."""
    try:
        return pd.read_csv(path, dtype={"model": str})
    except (FileNotFoundError, pd.errors.ParserError, pd.errors.EmptyDataError):
        raise UserError(f"{path} is not a metrics table. Make it with `mprd table`.") from None


def _epochs(run: Path) -> list[Path]:
    folders = sorted(p.parent for p in run.glob("epochs/[0-9][0-9][0-9]/metrics.json"))
    if not folders:
        raise UserError(f"{run} holds no complete epoch. Train one with `mprd train`.")
    return folders


def _evaluation_row(run: Path, name: str) -> dict[str, Any] | None:
    path = run / "evaluation" / f"{name}.json"
    if not path.is_file():
        return None
    report = read_json(path, "mprd.evaluation", "evaluate")
    label = {"000": INITIAL}.get(name, name)
    return {"model": label} | {key: report.get(key) for key in _RETRIEVAL}


def _epoch_row(run: Path, folder: Path) -> dict[str, Any]:
    metrics = read_json(folder / "metrics.json", "mprd.metrics", "train")
    clusters = read_artifact(folder / "clusters.h5", CLUSTERS)
    row = {
        "model": str(int(folder.name)),
        "clusters": len(clusters["sizes"]),
        "outliers": clusters.attributes["num_outliers"],
        "eps": clusters.attributes["eps"],
        "loss": metrics["loss"],
        **{key: clusters.attributes[key] for key in _QUALITY},
    }
    relations = metrics.get("relations") or {}
    row |= {column: relations.get(key) for column, key in _RELATIONS.items()}
    return row | (_evaluation_row(run, folder.name) or {}) | {"model": row["model"]}


def _write_csv(table: pd.DataFrame, out: Path) -> None:
    with atomic(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
