"""The generated pages about stages: `docs/stages.md`, and the table in `docs/memory.md`."""

from collections.abc import Iterator
from pathlib import Path

from mprd.pipeline.files import described
from mprd.pipeline.memory import formulas
from mprd.pipeline.rule_paths import patterns
from mprd.pipeline.stage import Condition, Place, Setting, Stage
from mprd.pipeline.stages import STAGES

_HEAD = """# Stages

`mprd config reference` generates this page from the stage table, `mprd/pipeline/stages.py`. Do not
edit it.

A run passes the stages in this order. Each stage is a command with an option for each file, and a
rule of the workflow. A stage runs again when one of its files, settings, or files of yours changes,
or the code that it uses. `<step>` stands for the folder of an epoch, or for `final`, whose epoch
before is the last one. [Artifacts](artifacts.md) describes the files, and
[Settings](../config/README.md) the settings.

| stage | what it does | how often | only with |
|---|---|---|---|
"""


def markdown() -> str:
    """Return `docs/stages.md`."""
    return _HEAD + "".join(map(_row, STAGES)) + "".join(map(_section, STAGES))


def memory_table() -> str:
    """Return which formulas of `mprd.system.ram` each stage uses, as a table."""
    users: dict[str, list[str]] = {}
    for one in STAGES:
        if one.memory:
            users.setdefault(one.memory, []).append(one.name)
    rows = [f"| {_code(names)} | {_code(formulas(name))} |\n" for name, names in users.items()]
    return "| stages | formulas |\n|---|---|\n" + "".join(rows)


def _row(one: Stage) -> str:
    when = one.when.words if one.when else ""
    if one.final_when:
        when += f"; at the end only with {one.final_when.words}"
    return f"| [`{one.name}`](#{one.name}) | {_summary(one)} | {one.place.value} | {when} |\n"


def _section(one: Stage) -> str:
    facts = "".join(f"- **{name}**: {text}\n" for name, text in _facts(one) if text)
    details = one.help.partition("\n\n")[2].partition("\n\n")[0]
    text = f"{_summary(one)} {details}".strip()
    return f"\n## `{one.name}`\n\n{text}\n\n{facts}"


def _facts(one: Stage) -> Iterator[tuple[str, str]]:
    if one.command:
        yield "command", f"`mprd {one.command}`"
    yield "reads", "; ".join(map(described, one.reads))
    yield "writes", "; ".join(_written(one))
    yield "settings", "; ".join(_settings(one))
    own = [f"`{key}`" for key in one.files] + ["`plugins`"] * one.plugins
    yield "files of yours", ", ".join(own)
    computes = "on the device of the config" if one.device else "on the CPU"
    if one.shared:
        computes += ", shared by `processes`"
    if one.workers:
        computes += ", with several threads"
    yield "computes", computes
    used = formulas(one.memory) if one.memory else []
    yield "memory", ", ".join(f"[`{name}`](memory.md#{name})" for name in used)


def _written(one: Stage) -> Iterator[str]:
    if one.place is Place.DATA:
        yield "a folder below `data.root`"
        return
    paths = patterns(one.name, Path("results"), conditional=True)
    for write in one.writes:
        path = str(paths[write.role]).replace("{", "<").replace("}", ">")
        yield f"`{path}`{_only(write.when)}"


def _settings(one: Stage) -> Iterator[str]:
    always = [key for key in one.settings if isinstance(key, str)]
    if always:
        yield _code(always)
    for entry in one.settings:
        if isinstance(entry, Setting):
            yield _code(entry.keys) + _only(entry.when) + (" (at the end)" if entry.final else "")


def _only(when: Condition | None) -> str:
    return f" ({when.words})" if when else ""


def _summary(one: Stage) -> str:
    return one.help.partition("\n\n")[0]


def _code(words: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)
