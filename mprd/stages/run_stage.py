"""The stages of a run by one call each, with the files that the stage table names."""

from pathlib import Path
from typing import Any

from mprd.artifacts.workbench import workbench
from mprd.config import Config
from mprd.errors import FINAL
from mprd.pipeline.files import Step, files_read, files_written, output_arguments
from mprd.pipeline.layout import FIRST_EPOCH, RunLayout
from mprd.pipeline.stage import Place, Stage
from mprd.pipeline.stages import STAGES, stage
from mprd.system import group
from mprd.system.threads import worker_count


def run_stage(
    name: str,
    run: RunLayout,
    config: Config,
    *,
    step: Step = None,
    threads: int | None = None,
    **changed: Any,
) -> None:
    """Do a stage of a run in this process.

    Args:
        name: of the stage.
        run: layout of the run.
        config: of the run.
        step: number of an epoch, `FINAL`, or the name of an evaluation.
        threads: worker threads; None: all CPUs.
        changed: arguments to take instead of those of the run.

    Raises:
        UserError: as the stage.
    """
    one = stage(name)
    files: dict[str, Any] = {
        read.name: path for read, path in files_read(one, run, step, config).items()
    }
    files |= output_arguments(one, run, step, config)
    for option in one.options:
        if option.name == "epoch":
            files["epoch"] = step
        elif option.name == "final":
            files["final"] = step == FINAL
        elif option.name == "decisions" and step == FINAL and run.decisions.is_file():
            files["decisions"] = run.decisions
        elif option.name == "baseline" and not str(step).isdecimal():
            files["baseline"] = step
    if one.workers:
        files["threads"] = worker_count(threads)
    one.do(**(files | changed), config=config)


def run_epochs(
    run: Path, *, first: int, last: int, config: Config, threads: int | None = None
) -> None:
    """Do the epochs `first` to `last` of a run, one stage after the other, on a workbench.

    For work that is fast beside the start of a process, or that waits in a queue for each job.
    The labels of epoch 1 must be there: the relation GCN is pre-trained on them.

    Args:
        run: folder of the run, laid out as in docs/artifacts.md.
        first: 1-based.
        last: at least `first`.
        config: of the run.
        threads: worker threads; None: all CPUs.

    Raises:
        UserError: as the stages.
    """
    layout = RunLayout(run)
    # Of a group one process writes, and the others read at once what it wrote.
    with workbench(behind=group.size() == 1):
        for epoch in range(first, last + 1):
            for one in STAGES:
                if one.place is Place.EPOCH or (one.place is Place.STEP and epoch > FIRST_EPOCH):
                    _in_group(one, layout, epoch, config, threads)


def make_pseudo_labels(
    run: RunLayout, step: int | str, config: Config, threads: int | None = None
) -> None:
    """Make the pseudo-labels of a step and all that they come from.

    In epoch 1 the relation GCN is made, too: it needs clusters by distance, and predictions need
    it.

    Args:
        run: layout of the run.
        step: number of an epoch, or `FINAL`.
        config: of the run.
        threads: worker threads; None: all CPUs.

    Raises:
        UserError: as the stages.
    """
    doubtful = run.epoch(FIRST_EPOCH).doubtful(config.uses_judgements)
    for one in STAGES:
        if one.place is not Place.STEP or (step == FINAL and not one.at_the_end(config)):
            continue
        _in_group(one, run, step, config, threads)
        # The relation GCN is pre-trained on pairs inside these clusters.
        if doubtful in files_written(one, run, step, config).values():
            for name in ("metadata", "pretrain"):
                _in_group(stage(name), run, None, config, threads)


def _in_group(one: Stage, run: RunLayout, step: Step, config: Config, threads: int | None) -> None:
    """Do a stage; of a group of processes all do it that share it, else the one that writes."""
    if not one.exists(config):
        return
    if one.shared or group.writes():
        run_stage(one.name, run, config, step=step, threads=threads)
    group.wait()
