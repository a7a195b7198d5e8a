"""Read, merge and check configurations; every mistake becomes one sentence."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ValidationError

from mprd.config.sections import Config
from mprd.config.yaml_file import read_yaml
from mprd.errors import SHARED, UserError, nearest_words

_SHOWN = 80  # characters of a wrong value
_COMPLETE = 0.8  # share of the settings that a file of mprd lists, also one of another version
_LIST, _PAIRS = "a list is needed, such as [1, 2]", "`key: value` pairs are needed"
_NEEDED = {  # in the words of YAML, where those of pydantic are Python's
    **dict.fromkeys(("tuple_type", "list_type"), _LIST),
    **dict.fromkeys(("dict_type", "model_type"), _PAIRS),
}
_QUOTED = "no text in YAML: put quotes around it"


@dataclass(frozen=True)
class Run:
    """One directory of results: a variant of the configuration with one seed."""

    name: str
    variant: str
    seed: int
    config: Config


def load_config(path: Path | None) -> Config:
    """Read a YAML configuration (None: all defaults).

    Raises:
        UserError: no such file, no YAML, an unknown key or a value out of range.
    """
    if path is None:
        return Config()
    values = read_yaml(path)
    try:
        return validate(values, str(path))
    except UserError as error:
        if len(values.keys() & Config.model_fields) < _COMPLETE * len(Config.model_fields):
            raise
        why = re.sub(r", did you mean `[^`]*`\?", "", str(error)).removeprefix(f"{path}: ")
        raise UserError(
            f"{path} lists the settings of another version of mprd, or was changed by hand "
            f"({why.rstrip('.')}). `mprd run CONFIG` writes it anew, where CONFIG is the file that "
            "the run was started with."
        ) from None


def validate(values: dict[str, Any], source: str) -> Config:
    """Check raw settings.

    Args:
        values: nested mapping as read from YAML.
        source: what to name in an error.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        words = "; ".join(_sentences(error))
        raise UserError(f"{source}: {words}{'' if words.endswith('?') else '.'}") from None


def expand_runs(values: dict[str, Any], source: str) -> list[Run]:
    """Return all runs of a configuration: variants x seeds.

    The run with the configuration's (or the variant's) own `seed` has the variant's name, another
    one of `seeds` adds `-seed<s>`: seeds can be added later without computing the first again.

    Raises:
        UserError: as `validate`, also for the settings of a variant.
    """
    base = validate(values, source)
    runs = []
    for variant, overrides in base.runs.items():
        for key in ("runs", "seeds", "results"):
            if key in (overrides or {}):
                raise UserError(f"{source}: runs.{variant}.{key} cannot differ between runs.")
        if base.seeds and "seed" in (overrides or {}):
            raise UserError(
                f"{source}: runs.{variant}.seed has no place beside seeds, which every run has. "
                "Leave out one of the two."
            )
        merged = {**merge(values, overrides or {}), "runs": {variant: {}}, "seeds": []}
        own = validate(merged, f"{source}: runs.{variant}")
        for seed in base.seeds or (own.seed,):
            name = variant if seed == own.seed else f"{variant}-seed{seed}"
            runs.append(Run(name, variant, seed, own.model_copy(update={"seed": seed})))
    names = [run.name for run in runs]
    if SHARED in names:
        raise UserError(
            f"{source}: no run can be called {SHARED}: results/{SHARED} holds what runs share. "
            "Choose another name."
        )
    if len(set(names)) != len(names):
        raise UserError(f"{source}: two runs would share a folder: {', '.join(sorted(names))}.")
    return runs


def merge(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Return `base` with the nested values of `overrides` put over it."""
    result = dict(base)
    for key, value in overrides.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        result[key] = merge(cast(dict[str, Any], old), value) if both else value
    return result


def dump_yaml(config: Config) -> str:
    """Return the complete configuration as YAML, every default written out."""
    return yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False)


def _sentences(error: ValidationError) -> list[str]:
    return [_sentence(detail) for detail in error.errors()]


def _sentence(detail: Any) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        nearest = _nearest(detail["loc"])
        hint = f", did you mean `{nearest}`?" if nearest else ""
        return f"unknown key `{key}`{hint}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"`{key}`: {message}" if key else message
    if detail["input"] is None:
        return f"`{key}` is empty: give it a value, or leave it out"
    if detail["type"] in ("string_type", "path_type") and isinstance(detail["input"], (int, float)):
        message = _QUOTED
    message = _NEEDED.get(detail["type"], message)
    given = repr(detail["input"])
    if message == _QUOTED and isinstance(detail["input"], bool):
        given = "yes" if detail["input"] else "no"
    given = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}..."
    return f"`{key}` is {given}: {message[0].lower()}{message[1:]}"


def _nearest(location: tuple[str | int, ...]) -> str | None:
    """Return the known key most like the unknown one: in its section, else anywhere."""
    known = known_keys(Config)
    name = str(location[-1])
    prefix = ".".join(map(str, location[:-1]))
    siblings = {k.rpartition(".")[2]: k for k in known if k.rpartition(".")[0] == prefix}
    anywhere = {k.rpartition(".")[2]: k for k in known}
    for candidates in (siblings, anywhere):
        for match in nearest_words(name, candidates, count=1):
            return candidates[match]
    return None


def known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted names of all settings below `model`, sections included."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            keys += known_keys(field.annotation, f"{prefix}{name}.")
    return keys
