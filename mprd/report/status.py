"""How far a run is: from the files it has left, without Snakemake."""

import time
from dataclasses import dataclass
from pathlib import Path

from mprd.artifacts import read_json
from mprd.config import Config, load_config
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout, epoch_name, run_of

_START = ("index", "pixels", "initial_model")
_RELATIONS = ("metadata", "initial_gcn")
_END = ("table", "report")


@dataclass(frozen=True)
class EpochStatus:
    """One epoch.

    Attributes:
        number: 1-based.
        missing: roles of the files that are not there, in the order of the stages.
        loss: of the training; None before.
        figures: mAP and rank-1 where the epoch was evaluated.
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
        start: what is missing before epoch 1.
        epochs: all of them, done or not.
        end: what is missing of the export and the tables.
        seconds_left: for the epochs that are missing, by the pace of the last ones; None: unknown.
    """

    name: str
    start: tuple[str, ...]
    epochs: list[EpochStatus]
    end: tuple[str, ...]
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
    final = layout.final.files(config.uses_judgements, config.uses_ranks)
    return RunStatus(
        name=folder.resolve().name,
        start=_absent({n: getattr(layout, n) for n in (*_START, *(_RELATIONS * config.use_gcn))}),
        epochs=[_epoch(layout, number, config) for number in numbers],
        end=(*_absent(final), *_absent({name: getattr(layout, name) for name in _END})),
        seconds_left=_seconds_left(layout, config),
    )


def _epoch(layout: RunLayout, number: int, config: Config) -> EpochStatus:
    here = layout.epoch(number)
    files = here.labelling(config.uses_judgements, config.uses_ranks)
    files |= here.trained(config.use_gcn)
    loss = None
    if here.metrics.is_file():
        loss = float(read_json(here.metrics, "mprd.metrics", "train")["loss"])
    return EpochStatus(number, _absent(files), loss, _evaluated(layout, epoch_name(number)))


def _evaluated(layout: RunLayout, name: str) -> dict[str, float]:
    """Return mAP and rank-1 of an evaluation; empty where there is none, or nothing to evaluate."""
    path = layout.evaluation(name)
    if not path.is_file():
        return {}
    report = read_json(path, "mprd.evaluation", "evaluate")
    return {key: float(report[key]) for key in ("mAP", "rank1") if report.get(key) is not None}


def _absent(files: dict[str, Path]) -> tuple[str, ...]:
    return tuple(role for role, path in files.items() if not path.is_file())


def _seconds_left(layout: RunLayout, config: Config) -> float | None:
    """Return epochs left x the mean time between the ends of the last five."""
    done = layout.epochs_with("metrics")
    if len(done) < 2:
        return None
    recent = done[-6:]
    ends = [layout.epoch(number).metrics.stat().st_mtime for number in recent]
    pace = (ends[-1] - ends[0]) / (len(ends) - 1)
    left = (config.epochs - len(done)) * pace
    return max(0.0, left - min(pace, time.time() - ends[-1])) if left else 0.0
