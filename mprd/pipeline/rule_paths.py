"""What the rules of the workflow write: paths with wildcards, and which stage a path belongs to."""

from pathlib import Path

from mprd.errors import EPOCHS, FINAL
from mprd.pipeline.files import Step
from mprd.pipeline.layout import EVALUATIONS, EpochLayout, FinalLayout, RunLayout, StepLayout
from mprd.pipeline.shared import shared_folder
from mprd.pipeline.stage import Place
from mprd.pipeline.stages import STAGES, stage


def patterns(name: str, results: Path, *, conditional: bool = False) -> dict[str, Path]:
    """Return the files that a stage writes, by role, with wildcards as rules have them.

    Args:
        name: of the stage.
        results: folder of all runs.
        conditional: with those files that only some runs have.
    """
    one, run = stage(name), RunLayout(results / "{run}")
    homes = {
        Place.SHARED: RunLayout(shared_folder(results) / "{key}"),
        Place.STEP: StepLayout(run.folder / "{step}"),
        Place.EPOCH: run.epoch("{epoch}"),
        Place.FINAL: run.final,
    }
    roles = [write.role for write in one.writes if conditional or write.when is None]
    if one.place is Place.EVALUATION:
        return {role: getattr(run, role)("{evaluation}") for role in roles}
    return {role: getattr(homes.get(one.place, run), role) for role in roles}


def looking_back(name: str) -> set[str]:
    """Return the roles of files that a stage reads when it replaces them."""
    return {write.role for write in stage(name).writes if write.looks_back}


def step_of(name: str) -> Step:
    """Return the step that a folder of a run stands for: that of an epoch, or `final`."""
    return FINAL if name == FINAL else int(Path(name).name)


def stage_making(path: Path) -> str:
    """Return the name of the stage that makes a file of a run, by the end of its path.

    Raises:
        ValueError: no stage makes it.
    """
    if path.parent.name == EVALUATIONS:
        return "evaluate"
    kinds = {FINAL: FinalLayout, EPOCHS: EpochLayout}
    name = FINAL if path.parent.name == FINAL else path.parent.parent.name
    layout = kinds.get(name, RunLayout)
    places = {FINAL: (Place.STEP, Place.FINAL), EPOCHS: (Place.STEP, Place.EPOCH)}
    allowed = places.get(name, (Place.RUN, Place.SHARED))
    for role, file in layout.roles().items():
        if path.parts[-len(Path(file.name).parts) :] == Path(file.name).parts:
            for one in STAGES:
                if one.place in allowed and role in {write.role for write in one.writes}:
                    return one.name
    raise ValueError(f"no stage makes {path}")
