"""Stage `table`: one row per evaluation and epoch of a run, and a summary over runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mprd.artifacts import CLUSTERS, atomic, read_artifact, read_json
from mprd.artifacts.csv_rows import for_pandas
from mprd.config import load_config
from mprd.errors import UserError
from mprd.pipeline.layout import INITIAL, RunLayout, epoch_name
from mprd.pipeline.stages import stage
from mprd.report.columns import COLUMNS, Source, names
from mprd.report.tables import read_table

_INITIAL_ROW = "init"
_FINAL_ROW = "features"  # of a run without a network
_LAST_ROW = "last epoch"


def run_table(*, run: Path, out: Path) -> None:
    """Collect what the stages of a run reported into a CSV.

    Args:
        run: folder of the run, finished or not.
        out: CSV to write.

    Raises:
        UserError: the run has no complete epoch or a report is damaged.
    """
    _write_csv(collect(RunLayout(run)), out)


def collect(layout: RunLayout) -> pd.DataFrame:
    """Return what the stages of a run reported so far.

    Rows: baselines, the initial model (`init`), then every epoch that is complete. A run without
    epochs has its final clusters in the row `init`, one with `data.features` in its only row.
    Metrics of retrieval are shares in [0, 1].

    Raises:
        UserError: the run has no complete epoch or a report is damaged.
    """
    untrained = _untrained_row(layout)
    epochs = layout.epochs_with("metrics") if untrained is None else []
    if untrained is None and not epochs:
        raise UserError(
            f"{layout.folder} holds no complete epoch. Go on with `mprd run CONFIG`, the config of "
            "the run."
        )
    rows = [{"model": name} | _evaluation(layout, name) for name in layout.baselines()]
    initial = {"model": _INITIAL_ROW} | _evaluation(layout, INITIAL)
    rows.append(initial if untrained is None else initial | untrained)
    rows = [row for row in rows if len(row) > 1]
    rows += [_epoch_row(layout, epoch) for epoch in epochs]
    return pd.DataFrame(rows, columns=["model", *names()])


def run_summary(*, tables: Sequence[Path], variants: Sequence[str], out: Path) -> None:
    """Average the first and last rows of several runs: mean and standard deviation over seeds.

    Shares of the relation filter are first averaged over the epochs of each run.

    Args:
        tables: `metrics.csv` of each run.
        variants: variant that each run belongs to.
        out: CSV to write: variant, model, seeds, and `<metric>` and `<metric>_std` of each.
    """
    averaged = [column.name for column in COLUMNS if column.averaged]
    frames = []
    for path, variant in zip(tables, variants, strict=True):
        table = read_table(path)
        last = table["model"].iloc[-1]
        # The last epoch of each run stands in one row, whatever its number.
        table["model"] = table["model"].where(table["model"] != last, _LAST_ROW)
        table = table.assign(**table[averaged].mean())
        chosen = table[table["mAP"].notna() | (table["model"] == _LAST_ROW)].copy()
        chosen.loc[chosen["model"] != _LAST_ROW, averaged] = float("nan")
        frames.append(chosen.assign(variant=variant))
    grouped = pd.concat(frames).groupby(["variant", "model"], sort=False)
    metrics = [name for name in names() if name not in ("eps", "gamma")]
    summary = grouped[metrics].mean()
    spread = grouped[metrics].std(ddof=1).add_suffix("_std")
    summary.insert(0, "seeds", grouped.size())
    _write_csv(summary.join(spread).reset_index(), out)


def _untrained_row(layout: RunLayout) -> dict[str, Any] | None:
    """Return what the row of a run without epochs holds; None: the run has epochs."""
    config = load_config(layout.config) if layout.config.is_file() else None
    if config is None or stage("train").exists(config):
        return None
    name = {} if config.data.features is None else {"model": _FINAL_ROW}
    return name | _cluster_metrics(layout.final.clusters)


def _evaluation(layout: RunLayout, name: str) -> dict[str, Any]:
    """Return the metrics of an evaluation; empty where there is none."""
    path = layout.evaluation(name)
    if not path.is_file():
        return {}
    report = read_json(path, "mprd.evaluation", "evaluate")
    timed = _metrics(Source.TIMED, report.get("with_time") or {})
    return _metrics(Source.EVALUATION, report) | timed


def _epoch_row(layout: RunLayout, epoch: int) -> dict[str, Any]:
    here = layout.epoch(epoch)
    metrics = read_json(here.metrics, "mprd.metrics", "train")
    return {
        "model": str(epoch),
        **_cluster_metrics(here.clusters),
        **_metrics(Source.METRICS, metrics),
        **_metrics(Source.RELATIONS, metrics.get("relations") or {}),
        **_evaluation(layout, epoch_name(epoch)),
    }


def _cluster_metrics(path: Path) -> dict[str, Any]:
    clusters = read_artifact(path, CLUSTERS)
    count = {"num_clusters": len(clusters["sizes"])}
    return _metrics(Source.CLUSTERS, count | clusters.attributes)


def _metrics(source: Source, report: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics that a report holds, by column."""
    return {column.name: report.get(column.key) for column in COLUMNS if column.source is source}


def _write_csv(table: pd.DataFrame, out: Path) -> None:
    with atomic(out) as temporary:
        table.to_csv(for_pandas(temporary), index=False, float_format="%.6g")
