"""How far a run is, from the files it has left, without Snakemake; and how that is printed."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median_low

from rich.console import Console
from rich.table import Table

from mprd.artifacts import CLUSTERS, read_artifact, read_json
from mprd.artifacts.files import file_digest
from mprd.config import Config, load_config
from mprd.data.added import waiting
from mprd.errors import FINAL, many
from mprd.judging.audit_beside import beside_words
from mprd.judging.audit_file import audit_words
from mprd.judging.count import count_words
from mprd.pipeline.files import Step, files_written
from mprd.pipeline.freshness import Freshness
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout, epoch_name, run_of
from mprd.pipeline.run_lock import is_running
from mprd.pipeline.stage import Place, Stage
from mprd.pipeline.stages import EPOCH_STAGES, STAGES, stage
from mprd.report.plain import plain
from mprd.system.durations import duration

_AT_THE_END = [one for one in STAGES if one.place in (Place.STEP, Place.FINAL)]
_NAMES = {"initial_model": "init", "initial_gcn": "relation GCN"}
# Key of a figure -> its column.
_COUNTS = {"clusters": "clusters", "outliers": "outliers"}
_RECENT = 6  # epochs by which the pace is told
_SHARES = {"mAP": "mAP", "rank1": "rank-1"}


@dataclass(frozen=True)
class EpochStatus:
    """One epoch.

    Attributes:
        number: 1-based.
        missing: roles of the files that are not there, in the order of the stages.
        loss: of the training; None before.
        figures: clusters, outliers and health where it has labels; mAP and rank-1 where it was
            evaluated.
    """

    number: int
    missing: tuple[str, ...]
    loss: float | None
    figures: dict[str, float]


@dataclass(frozen=True)
class RunStatus:
    """A run.

    Attributes:
        name: of the run.
        running: a workflow works on it now.
        start: what is missing before epoch 1.
        preview: table of the clusters of the start features; None: there is none.
        epochs: all of them, done or not.
        end: what is missing of the export and the tables.
        final: images, clusters, outliers and health of the final clusters; empty: there are none.
        clusters_of: what a run without epochs clusters.
        audit: whether the final clusters were audited, and the result; None: there are none.
        start_audit: the same for those before training; None: nobody began.
        beside: what an audit of the final clusters beside others says; None: nobody began.
        added: images that were added to the finished run.
        added_wait: of these, those that wait for `mprd add`: the run was made again since.
        count: of individuals; None: nobody began.
        seconds_left: for the epochs that are missing, by the pace of the last ones; None: unknown.
    """

    name: str
    running: bool
    start: tuple[str, ...]
    preview: str | None
    epochs: list[EpochStatus]
    end: tuple[str, ...]
    final: dict[str, float]
    clusters_of: str
    audit: str | None
    start_audit: str | None
    beside: str | None
    added: int
    added_wait: int
    count: str | None
    seconds_left: float | None

    @property
    def done(self) -> int:
        """Number of epochs that are complete."""
        return sum(not epoch.missing for epoch in self.epochs)


def run_status(folder: Path) -> RunStatus:
    """Look at the files of a run.

    Raises:
        UserError: no run was started there, or a report is damaged.
    """
    layout = run_of(folder)
    config = load_config(layout.config)
    numbers = range(FIRST_EPOCH, config.epochs + 1)
    added, wait = waiting(layout) if layout.final.clusters.is_file() else (0, 0)
    shared = [one for one in STAGES if one.place is Place.SHARED and one.exists(config)]
    begun = layout.start_audit.is_file() and layout.epoch(FIRST_EPOCH).clusters.is_file()
    return RunStatus(
        name=folder.resolve().name,
        running=is_running(layout),
        start=_missing([*shared, *_once(config)], layout, None, config),
        preview=str(layout.start_table) if numbers and layout.start_table.is_file() else None,
        epochs=[_epoch(layout, number, config) for number in numbers],
        end=(
            *_missing(
                [one for one in _AT_THE_END if one.at_the_end(config)], layout, FINAL, config
            ),
            *_missing([stage("table"), stage("report")], layout, None, config),
        ),
        final=_clustered(layout.final.clusters),
        clusters_of="data.features" if config.data.features else "the start, no training",
        audit=audit_words(layout) if layout.final.clusters.is_file() else None,
        start_audit=audit_words(layout, start=True) if begun else None,
        beside=beside_words(layout),
        added=added,
        added_wait=wait,
        count=count_words(layout),
        seconds_left=seconds_left(layout, config),
    )


def _once(config: Config) -> list[Stage]:
    """Return the stages that prepare the relation GCN."""
    return [one for one in (stage("metadata"), stage("pretrain")) if one.exists(config)]


def _missing(
    stages: Sequence[Stage], layout: RunLayout, step: Step, config: Config
) -> tuple[str, ...]:
    """Return the files of some stages that are missing, by role."""
    files: dict[str, Path] = {}
    for one in stages:
        files |= files_written(one, layout, step, config)
    there = Freshness(layout, dict, file_digest).there
    return tuple(role for role, path in files.items() if not there(path))


def _epoch(layout: RunLayout, number: int, config: Config) -> EpochStatus:
    here = layout.epoch(number)
    stages = [one for one in EPOCH_STAGES if one.exists(config)]
    missing = _missing(stages, layout, number, config)
    loss = None
    if here.metrics.is_file():
        loss = float(read_json(here.metrics, "mprd.metrics", "train")["loss"])
    found = _clustered(here.clusters)
    figures = {key: found[key] for key in (*_COUNTS, "health") if key in found}
    return EpochStatus(number, missing, loss, figures | _evaluated(layout, epoch_name(number)))


def _clustered(path: Path) -> dict[str, float]:
    """Return images, clusters, outliers and health of some clusters; empty: there are none."""
    if not path.is_file():
        return {}
    found = read_artifact(path, CLUSTERS, ("labels", "sizes"))
    return {
        "images": len(found["labels"]),
        "clusters": len(found["sizes"]),
        "outliers": int(found.attributes["num_outliers"]),
        "health": float(found.attributes["health"]),
    }


def _evaluated(layout: RunLayout, name: str) -> dict[str, float]:
    """Return mAP and rank-1 of an evaluation; empty where there is none, or nothing to evaluate."""
    path = layout.evaluation(name)
    if not path.is_file():
        return {}
    report = read_json(path, "mprd.evaluation", "evaluate")
    return {key: float(report[key]) for key in ("mAP", "rank1") if report.get(key) is not None}


def seconds_left(layout: RunLayout, config: Config, since: float = 0.0) -> float | None:
    """Return epochs left x the usual time between the ends of the last ones.

    What lies between two parts of a run that was stopped is not usual, so a median counts. So does
    the time between features and end of the last epoch: after one epoch it is all there is. Not
    with the relation GCN, which is pre-trained in between.

    Args:
        layout: of the run.
        config: of the run.
        since: seconds since 1970; if an epoch has ended after it, older ones are to be made again.

    Returns:
        None: that is not known yet.
    """
    epochs = config.epochs
    done = layout.epochs_with("metrics")
    ends = {number: layout.epoch(number).metrics.stat().st_mtime for number in done}
    fresh = [number for number in done if ends[number] >= since] or done
    if not fresh or fresh[-1] >= epochs:
        return 0.0 if fresh else None
    last, times = layout.epoch(fresh[-1]), [ends[number] for number in fresh[-_RECENT:]]
    spans = [later - earlier for earlier, later in pairwise(times)]
    if last.features.is_file() and not config.use_gcn:
        spans.append(times[-1] - last.features.stat().st_mtime)
    spans = [span for span in spans if span > 0]
    if not spans:
        return None
    pace = median_low(spans)
    passed = min(pace, max(0.0, time.time() - times[-1]))
    return (epochs - fresh[-1]) * pace - passed


def show_status(found: RunStatus, stale: dict[str, str] | None) -> None:
    """Print epochs, what is missing, and the time left.

    Args:
        found: the run.
        stale: files that would be made again, and why; None: not asked for.
    """
    console = Console(width=None if Console().is_terminal else 100)
    total = len(found.epochs)
    finished = found.done == total and not found.start and not found.end
    what = f"{found.done} of {total} epochs done" if total else f"clusters of {found.clusters_of}"
    now = "" if finished else ", running" if found.running else ", not running"
    console.print(plain(f"{found.name}: {what}{now}"))
    lacking = "to come" if found.running else "missing"
    if found.start:
        console.print(f"{'before epoch 1' if total else 'first'}, {lacking}: {_named(found.start)}")
    if found.preview is not None and not finished:
        words = f"clusters of the start: {found.preview}"
        console.print(plain(words), soft_wrap=True)
    under_way = None if found.start else found.done + 1
    begun = [e for e in found.epochs if e.loss is not None or e.number == under_way]
    if begun:
        console.print(_table(begun, running=found.running))
    if found.done < total and found.seconds_left is not None:
        console.print(f"about {duration(found.seconds_left)} left for the other epochs")
    if found.done == total and found.end:
        console.print(f"at the end, {lacking}: {_named(found.end)}")
    if finished:
        console.print("finished")
    if found.final:
        final = {key: int(found.final[key]) for key in (*_COUNTS, "images")}
        counts = (many(final[key], word.removesuffix("s")) for key, word in _COUNTS.items())
        images = f"of {many(final['images'], 'image')}{_health(found.final)}"
        console.print(f"at the end: {', '.join(counts)} {images}", highlight=False)
    if found.added:
        rest = f"; {found.added_wait:,} of them wait for `mprd add`" if found.added_wait else ""
        words = f"added since (mprd add): {many(found.added, 'image')}{rest}"
        console.print(words, highlight=False)
    judged = {"clusters before training": found.start_audit, "clusters": found.audit}
    judged |= {"two clusterings": found.beside, "individuals": found.count}
    for what, said in judged.items():
        if said is not None:
            console.print(plain(f"{what}: {said}"), soft_wrap=True)
    if stale is not None:
        console.print(f"stale: {len(stale) or 'nothing'}")
        for path, why in stale.items():
            console.print(plain(f"  {path}: {why}"), soft_wrap=True)


def _health(figures: dict[str, float]) -> str:
    """Return the self-agreement in words; "": it is not known, as without cameras."""
    return "" if math.isnan(figures["health"]) else f", self-agreement {figures['health']:.2f}"


def _table(epochs: list[EpochStatus], *, running: bool) -> Table:
    """Return a line for each epoch; without columns in which nothing is known."""
    known = {key for epoch in epochs for key, value in epoch.figures.items() if value == value}
    columns = {key: (title, "{:,}") for key, title in _COUNTS.items()}
    columns |= {"health": ("self-agreement", "{:.2f}")}
    columns |= {key: (title, "{:.1%}") for key, title in _SHARES.items()}
    shown = {key: column for key, column in columns.items() if key in known}
    grid = Table()
    for title in ("epoch", "loss", *(title for title, _ in shown.values())):
        grid.add_column(title, justify="right")
    unfinished = any(epoch.missing for epoch in epochs)
    if unfinished:
        grid.add_column("")
    for epoch in epochs:
        loss = "" if epoch.loss is None else f"{epoch.loss:.3f}"
        figures = (
            form.format(epoch.figures[key]).rstrip("%") if key in epoch.figures else ""
            for key, (_, form) in shown.items()
        )
        missing = f"missing: {_named(epoch.missing)}" if epoch.missing else ""
        state = ["running" if missing and running else missing] if unfinished else []
        grid.add_row(str(epoch.number), loss, *figures, *state)
    return grid


def _named(roles: tuple[str, ...]) -> str:
    return ", ".join(_NAMES.get(role, role) for role in roles)
