"""How a stage is described: what it reads and writes, and when; see `stages.py` for the table."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mprd.config import Config
from mprd.errors import UserError, lack_of_memory


@dataclass(frozen=True)
class Condition:
    """A property of a config on which a stage, a file or a setting depends.

    Attributes:
        holds: tells whether a config has it.
        words: what a user sets to have it.
    """

    holds: Callable[[Config], bool]
    words: str


class Place(Enum):
    """Where a stage works; a stage writes into the folder of its place."""

    DATA = "once per set of synthetic images"
    SHARED = "once for all runs with equal settings"
    RUN = "once per run"
    STEP = "every epoch and at the end"
    EPOCH = "every epoch"
    FINAL = "at the end"
    EVALUATION = "every evaluation"
    CONFIG = "once per config"


class At(Enum):
    """Which epoch a file comes from, seen from the step that reads it."""

    HERE = "this step, or the run"
    BEFORE = "the epoch before; at the end the last epoch"
    FIRST = "epoch 1"
    AFTER = "the epoch that is evaluated"


@dataclass(frozen=True)
class Read:
    """A file that a stage reads.

    Attributes:
        role: name of the file in the layout of a run or step.
        keyword: argument of the stage's function; default the role.
        option: of the stage's command, without dashes; default the keyword.
        at: which epoch it comes from.
        initial: role in the run's layout that stands for epoch 0; "": epoch 1 reads no such file.
        when: the condition under which it is read; None: always.
        final: whether it is read at the end, too.
        needed: a stage called by hand needs it, where it is read; else it does without.
    """

    role: str
    keyword: str = ""
    option: str = ""
    at: At = At.HERE
    initial: str = ""
    when: Condition | None = None
    final: bool = True
    needed: bool = True

    @property
    def name(self) -> str:
        """Return the keyword argument."""
        return self.keyword or self.role

    @property
    def flag(self) -> str:
        """Return the option of the command."""
        return "--" + (self.option or self.name).replace("_", "-")

    @property
    def required(self) -> bool:
        """Tell whether every step and config reads it."""
        always = self.at is At.HERE or self.at is At.FIRST or self.initial != ""
        return self.needed and self.when is None and self.final and always


@dataclass(frozen=True)
class Write:
    """A file that a stage writes.

    Attributes:
        role: name of the file in the layout.
        keyword: argument of the stage's function and option of its command; "": the file lies in
            the folder that `out` names.
        when: the condition under which it is written; None: always.
        looks_back: the stage reads the file that it replaces; Snakemake must not remove it before.
    """

    role: str
    keyword: str = "out"
    when: Condition | None = None
    looks_back: bool = False


@dataclass(frozen=True)
class Setting:
    """Settings that a stage reads only sometimes.

    Attributes:
        keys: dotted keys; a section stands for all its keys.
        when: the condition under which they are read.
        final: they are read only at the end.
    """

    keys: tuple[str, ...]
    when: Condition | None = None
    final: bool = False


@dataclass(frozen=True)
class Option:
    """An option of a stage's command, and an argument of its function, that is no file.

    Attributes:
        name: keyword argument.
        kind: its type.
        default: its value where it is not given; `...`: it must be given.
        help: for users.
        least: smallest value of a number; None: any.
    """

    name: str
    kind: Any
    default: Any
    help: str
    least: int | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the pipeline.

    Attributes:
        name: of the stage, its rule, its log.
        run: `module:function`; keyword arguments are the files, the options, and `config`.
        help: what it does, for the command.
        place: where it works.
        reads: files.
        writes: files.
        settings: dotted keys that decide the result; a section stands for all its keys.
        files: settings that name a user's own file, whose content decides the result, too.
        options: of its command beside the files.
        when: the condition under which it exists; None: always.
        final_when: the condition under which it works at the end, too; None: `when`.
        device: it computes on the device of the config.
        shared: several processes share its work (`processes`).
        workers: its function takes `threads`, a number of worker threads.
        memory: name of the function in `mprd.pipeline.memory` that computes its memory; "": little.
        advice: what a user can do where memory is too small.
        gpu_advice: what a user can do where the memory of the GPU is too small.
        command: the command that does it; default its name.
        plugins: it calls registered pieces, which may be a user's own.
        folder: `out` is a folder, not a file.
    """

    name: str
    run: str
    help: str
    place: Place
    reads: tuple[Read, ...] = ()
    writes: tuple[Write, ...] = ()
    settings: tuple[str | Setting, ...] = ()
    files: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    when: Condition | None = None
    final_when: Condition | None = None
    device: bool = False
    shared: bool = False
    workers: bool = False
    memory: str = ""
    advice: str = ""
    gpu_advice: str = ""
    command: str = ""
    plugins: bool = False
    folder: bool = False

    @property
    def module(self) -> str:
        """Return the module of its function."""
        return self.run.partition(":")[0]

    def exists(self, config: Config) -> bool:
        """Tell whether a run with this config has the stage."""
        return self.when is None or self.when.holds(config)

    def at_the_end(self, config: Config) -> bool:
        """Tell whether a run with this config does the stage at its end."""
        return self.exists(config) and (self.final_when is None or self.final_when.holds(config))

    def function(self) -> Callable[..., Any]:
        """Import and return its function."""
        module, _, name = self.run.partition(":")
        return getattr(importlib.import_module(module), name)

    def do(self, **arguments: Any) -> None:
        """Call its function.

        Raises:
            UserError: as the function; or memory is too small, with what helps in this stage.
        """
        try:
            self.function()(**arguments)
        except (MemoryError, RuntimeError) as error:
            lack = lack_of_memory(error)
            if lack is None:
                raise
            advice = self.gpu_advice if lack.on_gpu else self.advice
            words = (f"{self.name}: {lack.words}", advice, "docs/memory.md has the formulas.")
            raise UserError(" ".join(filter(None, words))) from error

    def keys(self, config: Config, *, final: bool = False) -> tuple[str, ...]:
        """Return the settings that it reads under a config, sections unexpanded.

        Args:
            config: of the run.
            final: it works at the end of the run.
        """
        found: list[str] = []
        for entry in self.settings:
            if isinstance(entry, str):
                found.append(entry)
            elif (final or not entry.final) and (entry.when is None or entry.when.holds(config)):
                found += entry.keys
        return tuple(found)

    @property
    def differs_at_the_end(self) -> bool:
        """Tell whether it reads more settings at the end of a run than in an epoch."""
        return any(isinstance(entry, Setting) and entry.final for entry in self.settings)
