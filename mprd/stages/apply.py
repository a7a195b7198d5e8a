"""`mprd apply`: the decisions of a run hold in its final clusters, without training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mprd.artifacts import CLUSTERS, INDEX, read_artifact
from mprd.clustering.numbering import numbers_of
from mprd.config import Config, load_config
from mprd.data.added import stored
from mprd.data.index import split_rows
from mprd.decisions.log import in_effect, read_decisions
from mprd.errors import FINAL, many
from mprd.pipeline.finished import finished_run
from mprd.pipeline.layout import RunLayout
from mprd.pipeline.run_lock import require_free
from mprd.pipeline.stages import stage
from mprd.stages.added_images import placed_again
from mprd.stages.cluster_csv import write_final_tables
from mprd.stages.run_stage import run_stage


@dataclass(frozen=True)
class Applied:
    """What decisions did to the clusters of a run.

    Attributes:
        decisions: that hold.
        before: clusters and outliers, in words.
        after: likewise.
        moved: images that are in a cluster of another number now.
        table: the table that was written.
        report: the page that shows these clusters now, too; None: the run has none yet.
    """

    decisions: int
    before: str
    after: str
    moved: int
    table: Path
    report: Path | None

    def words(self) -> str:
        """Return what was done, in two or three sentences."""
        return (
            f"{many(self.decisions, 'decision holds', 'decisions hold')} in {self.table}: "
            f"{self.before} before, {self.after} now. "
            f"{many(self.moved, 'image')} changed the cluster."
            f"{'' if self.report is None else f' {self.report} shows them.'}"
        )


def apply_decisions(run: Path) -> Applied:
    """Make the final clusters of a finished run again, with its `decisions.csv`.

    Nothing is embedded or trained. `final/clusters.h5` and `final/clusters.csv` are written; a
    cluster keeps the number and the name that the table had. A table that differs stays as
    `clusters.1.csv`, as `mprd run` does it, which also makes the same clusters. A report that is
    there is drawn again.

    Args:
        run: its folder.

    Raises:
        UserError: the run is not finished, a workflow works on it, or decisions contradict each
            other; nothing is changed then.
    """
    layout = finished_run(run)
    require_free([layout])
    config = load_config(layout.config)
    images = read_artifact(layout.index, INDEX)
    old = read_artifact(layout.final.clusters, CLUSTERS)
    before = numbers_of(old["labels"], old["number"])
    run_stage("cluster", layout, config, step=FINAL)
    new = read_artifact(layout.final.clusters, CLUSTERS)
    after, rows = numbers_of(new["labels"], new["number"]), split_rows(images, "train")
    earlier = stored(layout.final)[0]
    added = placed_again(layout, images, new, config)
    write_final_tables(layout.final, images, rows, new, added)
    if len(added):
        before = np.concatenate([before, earlier["number"]])
        after = np.concatenate([after, added["number"]])
    report = layout.report if layout.report.is_file() else None
    if report is not None:
        _show_again(layout, config)
    log = layout.decisions
    count = len(in_effect(read_decisions(log))) if log.is_file() else 0
    moved = int((before != after).sum())
    return Applied(count, _words(before), _words(after), moved, layout.final.table, report)


def _show_again(layout: RunLayout, config: Config) -> None:
    """Make again what shows the final clusters: the report, and metrics that tell of them.

    The metrics of a run with epochs tell of these.
    """
    from mprd.stages.report import run_report  # bokeh is slow to load
    from mprd.stages.table import run_table

    if not stage("train").exists(config):
        run_table(run=layout.folder, out=layout.table)
    run_report(run=layout.folder, out=layout.report)


def _words(numbers: np.ndarray) -> str:
    clusters, outliers = len(np.unique(numbers[numbers >= 0])), int((numbers < 0).sum())
    return f"{many(clusters, 'cluster')} and {many(outliers, 'outlier')}"
