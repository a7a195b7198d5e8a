"""The settings and files that each stage reads, as it declares them beside its code.

A stage's module says what it reads in three literals:

    SETTINGS       keys that are always read; a section stands for all its keys
    SETTINGS_WHEN  (condition, keys): read where all settings of the condition have these values
    FILES          keys that name a user's own file, whose content is read

They are read from the source: importing all stages would take seconds, for every call of Snakemake.
"""

import ast
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mprd.config import Config
from mprd.pipeline.pieces import spelling_key
from mprd.pipeline.registry import plugin_files

_STAGES = Path(__file__).parents[1] / "stages"
# They use pieces that a plugin may register.
_WITH_PLUGINS = {"init", "features", "cluster", "train", "evaluate", "export"}
_WITH_PLUGINS |= {"metadata", "pretrain", "judge"}


@dataclass(frozen=True)
class Declaration:
    """What a stage reads beside its input files; see the module's docstring.

    Attributes:
        settings: dotted keys.
        when: pairs of a condition, dotted key -> value, and dotted keys.
        files: dotted keys.
    """

    settings: tuple[str, ...]
    when: tuple[tuple[dict[str, Any], tuple[str, ...]], ...]
    files: tuple[str, ...]


@cache
def declared(stage: str) -> Declaration:
    """Return the declaration of a stage.

    Raises:
        ValueError: no such stage, or it declares no SETTINGS.
    """
    path = _STAGES / f"{stage}.py"
    if not path.is_file():
        raise ValueError(f"unknown stage {stage!r}")
    found = _literals(path)
    if "SETTINGS" not in found:
        raise ValueError(f"{path} declares no SETTINGS")
    return Declaration(found["SETTINGS"], found.get("SETTINGS_WHEN", ()), found.get("FILES", ()))


@cache
def _literals(module: Path) -> dict[str, Any]:
    """Return what a module declares, by name; empty where it declares nothing."""
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(module.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id in ("SETTINGS", "SETTINGS_WHEN", "FILES")
    }


def keys_read(config: Config, stage: str) -> tuple[str, ...]:
    """Return the keys that a stage reads under a config, sections unexpanded."""
    declaration = declared(stage)
    keys = list(declaration.settings)
    for condition, more in declaration.when:
        if all(_value(config, key) == wanted for key, wanted in condition.items()):
            keys += more
    return tuple(keys)


def stage_settings(config: Config, stage: str) -> dict[str, Any]:
    """Return just the settings that a stage reads, nested as in the config, JSON-ready.

    They are stored with its artifacts and decide when the workflow runs it again.
    """
    values = config.model_dump(mode="json")
    chosen: dict[str, Any] = {}
    for key in keys_read(config, stage):
        source, target = values, chosen
        *sections, name = key.split(".")
        for section in sections:
            source, target = source[section], target.setdefault(section, {})
        target[name] = source[name]
    return chosen


def user_files(config: Config, stage: str) -> list[Path]:
    """Return the user's own files that a stage reads: named by a setting, and there.

    A missing one is left to the stage, which says what is wrong.
    """
    named = [_value(config, key) for key in declared(stage).files]
    named += plugin_files(config) if stage in _WITH_PLUGINS else []
    return [path for path in named if path is not None and path.is_file()]


def missing_files(config: Config) -> list[str]:
    """Return a sentence for each file or folder that a config names and that is not there."""
    modules = sorted(_STAGES.glob("*.py"))
    keys = dict.fromkeys(key for path in modules for key in _literals(path).get("FILES", ()))
    named = {key: _value(config, key) for key in keys}
    if is_synthetic(config):
        del named["data.root"]  # the images will be made there
    return [
        f"{key} names {path}, which is not there"
        for key, path in named.items()
        if path is not None and not path.exists()
    ]


def synthetic_folder(config: Config) -> Path:
    """Return the folder of the synthetic images of these settings, below `data.root`."""
    settings = {"synthetic": config.data.synthetic.model_dump(mode="json")}
    text = json.dumps(settings, sort_keys=True)
    return config.data.root / f"synthetic-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def data_location(config: Config) -> Path:
    """Return where the images of a run lie."""
    return synthetic_folder(config) if is_synthetic(config) else config.data.root


def is_synthetic(config: Config) -> bool:
    """Tell whether the images of a run are those of the embedded generator."""
    return spelling_key(config.data.dataset) == "synthetic"


def _value(config: Config, key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
