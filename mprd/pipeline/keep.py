"""Which files of a finished run go (`keep: last`): those that only later epochs have read.

An epoch before the last keeps its clusters and reports, what an evaluation reads, and epoch 1 what
training begins with. Its model, optimiser, features and graph go: to make them again, training
starts again from epoch 1 and ends in the same bytes.
"""

from pathlib import Path

from mprd.pipeline.layout import FIRST_EPOCH
from mprd.pipeline.plan import RunPlan
from mprd.pipeline.stages import EPOCH_STAGES, STAGES


def passing_files(plan: RunPlan) -> list[Path]:
    """Return the files of epochs before the last that nothing outside the later epochs reads."""
    before_last = range(FIRST_EPOCH, plan.config.epochs)
    written = [
        path
        for one in EPOCH_STAGES
        for step in before_last
        if step in plan.steps(one.name)
        for path in plan.writes(one.name, step).values()
    ]
    read: set[Path] = set()
    for one in STAGES:
        for step in plan.steps(one.name):
            if not (isinstance(step, int) and step > FIRST_EPOCH):
                read.update(plan.reads(one.name, step).values(), plan.reads_also(one.name))
    return [path for path in written if path not in read and path.suffix != ".json"]


def let_go(plan: RunPlan) -> None:
    """Remove the passing files of a run, unless it keeps all or some job is not done.

    What they held is noted first, so a later run knows that nothing is to be made.
    """
    if plan.config.keep == "last":
        plan.freshness.remove(passing_files(plan))
