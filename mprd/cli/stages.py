"""The commands of the stages, built from the stage table."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from mprd.cli.app import STAGES_PANEL, ConfigOption, ThreadsOption, app
from mprd.cli.launch import run_shared
from mprd.config import Config, load_config
from mprd.errors import UserError
from mprd.pipeline.files import described, file_name
from mprd.pipeline.stage import Place, Read, Stage, Write
from mprd.pipeline.stages import STAGES
from mprd.system.threads import worker_count

_BY_HAND = ("table", "report")  # their commands do more: see `tools.py`


def add_commands() -> None:
    """Add a command for each stage that has one of its own name."""
    for stage in STAGES:
        if stage.name not in _BY_HAND and not stage.command:
            app.command(stage.name, help=stage.help, rich_help_panel=STAGES_PANEL)(_command(stage))


def _command(stage: Stage) -> Any:
    """Return a function whose signature has an option for each file and option of a stage."""

    def run(**given: Any) -> None:
        _run(stage, given)

    parameters = [*map(_input, stage.reads), *_outputs(stage)]
    for option in stage.options:
        kind = option.kind if option.default is not None else option.kind | None
        flag = f"--{option.name.replace('_', '-')}"
        note = typer.Option(flag, help=option.help, min=option.least)
        parameters.append(_parameter(option.name, Annotated[kind, note], option.default))
    parameters.append(_parameter("config", ConfigOption, None))
    if stage.device or stage.workers:
        parameters.append(_parameter("threads", ThreadsOption, None))
    required = [one for one in parameters if one.default is inspect.Parameter.empty]
    others = [one for one in parameters if one.default is not inspect.Parameter.empty]
    run.__signature__ = inspect.Signature([*required, *others])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__name__ = stage.name
    return run


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    default = inspect.Parameter.empty if default is ... else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _input(read: Read) -> inspect.Parameter:
    kind = Path if read.required else Path | None
    note = typer.Option(read.flag, help=described(read))
    return _parameter(read.name, Annotated[kind, note], ... if read.required else None)


def _outputs(stage: Stage) -> list[inspect.Parameter]:
    if stage.folder:
        note = typer.Option("--out", help="Folder to write into.")
        return [_parameter("out", Annotated[Path, note], ...)]
    return [_output(stage, write) for write in stage.writes]


def _output(stage: Stage, write: Write) -> inspect.Parameter:
    name = file_name(write.role) or "File"
    optional = stage.name == "init" and write.keyword == "metrics"
    kind = Path | None if optional else Path
    place = "Folder to make." if stage.place is Place.DATA else f"{name} to write."
    note = typer.Option(f"--{write.keyword}", help=place)
    return _parameter(write.keyword, Annotated[kind, note], None if optional else ...)


def _run(stage: Stage, given: dict[str, Any]) -> None:
    file, threads = given.pop("config"), given.pop("threads", None)
    config = load_config(file)
    _require_stage(stage, config, file)
    _require_epoch("--epoch", given.get("epoch"), config)
    if stage.workers:
        given["threads"] = worker_count(threads)
    files = {name: value for name, value in given.items() if value is not None}

    def work() -> None:
        stage.do(**files, config=config)

    if stage.shared:
        run_shared(config, threads, work)
        return
    if stage.device and not stage.workers:  # whose function takes the threads
        from mprd.system.torch_setup import set_up_cpu

        set_up_cpu(threads)
    work()


def _require_stage(stage: Stage, config: Config, file: Path | None) -> None:
    """Check that runs of a config have a stage; images are drawn for other use, too."""
    if stage.when is not None and stage.place is not Place.DATA and not stage.exists(config):
        whose = "the defaults do" if file is None else f"{file} does"
        raise UserError(
            f"`mprd {stage.name}` goes with {stage.when.words}, which {whose} not set. Give the "
            "config of a run that does with --config."
        )


def _require_epoch(option: str, epoch: int | None, config: Config) -> None:
    """Check that a run of a config has an epoch."""
    if epoch is not None and epoch > config.epochs:
        raise UserError(
            f"{option} {epoch} is behind the last epoch: the config sets epochs: {config.epochs}. "
            "Name an earlier one, or raise epochs."
        )


@app.command(rich_help_panel=STAGES_PANEL)
def epochs(
    run: Annotated[Path, typer.Option(help="Folder of a run.")],
    first: Annotated[int, typer.Option(min=1, help="First epoch, from 1.")],
    last: Annotated[int, typer.Option(min=1, help="Last epoch.")],
    config: ConfigOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Do several epochs in one process."""
    from mprd.stages.run_stage import run_epochs

    if last < first:
        raise UserError(f"--last {last} is before --first {first}.")
    settings = load_config(config)
    _require_epoch("--last", last, settings)
    run_shared(
        settings,
        threads,
        lambda: run_epochs(
            run, first=first, last=last, config=settings, threads=worker_count(threads)
        ),
    )


add_commands()
