"""Which files a stage of a run reads and writes, as the stage table and the layout say."""

from collections.abc import Mapping
from pathlib import Path

from mprd.config import Config
from mprd.errors import FINAL, UserError
from mprd.pipeline.layout import FIRST_EPOCH, EpochLayout, FinalLayout, RunLayout, StepLayout
from mprd.pipeline.stage import At, Place, Read, Stage
from mprd.pipeline.stages import stage

# A step of a run: the number of an epoch, `FINAL`, or None for a stage that works once per run.
Step = int | str | None
_EPOCHS = {At.BEFORE: " of the epoch before", At.FIRST: " of epoch 1"}


def files_read(one: Stage, run: RunLayout, step: Step, config: Config) -> dict[Read, Path]:
    """Return the files that a stage reads in a step of a run.

    Args:
        one: stage of the table.
        run: layout of the run.
        step: number of an epoch (for an evaluation 0 stands for the initial model), `FINAL`, or
            None.
        config: of the run.
    """
    found = {read: _path(read, run, step, config) for read in one.reads}
    return {read: path for read, path in found.items() if path is not None}


def files_written(one: Stage, run: RunLayout, step: Step, config: Config) -> dict[str, Path]:
    """Return the files that a stage writes in a step of a run, by role; arguments as above."""
    written = [write for write in one.writes if write.when is None or write.when.holds(config)]
    return {write.role: _home(one, run, step, write.role) for write in written}


def output_arguments(one: Stage, run: RunLayout, step: Step, config: Config) -> dict[str, Path]:
    """Return the arguments of a stage that say where it writes; arguments as above."""
    paths = files_written(one, run, step, config)
    named = {w.keyword: paths[w.role] for w in one.writes if w.keyword and w.role in paths}
    if one.folder and step is not None:
        named["out"] = run.step(step).folder
    return named


def require_given(
    name: str, given: Mapping[str, Path | None], config: Config, *, step: Step = None
) -> None:
    """Check that a stage was given the files that it reads under a config, and no others.

    Args:
        name: of the stage.
        given: keyword -> path, or None; files that are not named are not checked.
        config: of the run.
        step: number of the epoch, where the stage knows it.

    Raises:
        UserError: a file is missing, or given and not read.
    """
    one = stage(name)
    for read in one.reads:
        if read.name not in given or (step == FINAL and not read.final):
            continue
        holds = read.when is None or read.when.holds(config)
        first = read.at is At.BEFORE and not read.initial and step == FIRST_EPOCH
        if given[read.name] is None and holds and not first and read.needed:
            why = f"the config sets {read.when.words}" if read.when else f"this is epoch {step}"
            raise UserError(f"`mprd {one.command or name}` needs {read.flag}: {why}.")
        if given[read.name] is not None and not holds:
            words = read.when.words if read.when else ""
            raise UserError(f"{read.flag} goes with {words}, which the config does not set.")
        if given[read.name] is not None and first:
            raise UserError(f"{read.flag} is of the epoch before; this is epoch {FIRST_EPOCH}.")


def described(read: Read) -> str:
    """Return what a file is: its name, which epoch it comes from, when it is read."""
    text = file_name(read.role)
    if read.role == "doubtful":
        provisional = file_name("provisional_clusters")
        text = f"{file_name('clusters')}, or {provisional} (cluster.relation: judged)"
    text += _EPOCHS.get(read.at, "")
    return f"{text} ({read.when.words})" if read.when else text


def file_name(role: str) -> str:
    """Return the name of a file of the layout; "" for another role."""
    files = FinalLayout.roles() | EpochLayout.roles() | RunLayout.roles()
    return Path(files[role].name).name if role in files else ""


def previous_epoch(step: Step, config: Config) -> int:
    """Return the epoch before a step: before the end it is the last one."""
    return config.epochs if step == FINAL else int(step or FIRST_EPOCH) - 1


def _path(read: Read, run: RunLayout, step: Step, config: Config) -> Path | None:
    if (read.when and not read.when.holds(config)) or (step == FINAL and not read.final):
        return None
    if read.at is At.BEFORE:
        return _of_epoch(read, run, previous_epoch(step, config), config)
    if read.at is At.AFTER:  # a baseline has a name and no model
        named = not str(step).isdecimal()
        return None if named else _of_epoch(read, run, int(step or 0), config)
    if read.at is At.FIRST:
        return _in_step(read.role, run.epoch(FIRST_EPOCH), config)
    in_step = read.role == "doubtful" or read.role in EpochLayout.roles()
    if step is not None and in_step:
        return _in_step(read.role, run.step(step), config)
    return getattr(run, read.role)


def _of_epoch(read: Read, run: RunLayout, epoch: int, config: Config) -> Path | None:
    """Return the file that an epoch leaves; before epoch 1 it is the initial one."""
    fixed = read.role == "gcn" and not config.learns  # the pre-trained one, in every epoch
    if epoch >= FIRST_EPOCH and not fixed:
        return getattr(run.epoch(epoch), read.role)
    return getattr(run, read.initial) if read.initial else None


def _in_step(role: str, folder: StepLayout, config: Config) -> Path:
    return folder.doubtful(config.uses_judgements) if role == "doubtful" else getattr(folder, role)


def _home(one: Stage, run: RunLayout, step: Step, role: str) -> Path:
    if one.place is Place.EVALUATION:
        return getattr(run, role)(step)
    return getattr(run if step is None else run.step(step), role)
