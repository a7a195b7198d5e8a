"""The settings and files of the user's own that a stage reads, as the stage table says."""

from pathlib import Path
from typing import Any

from mprd.config import Config
from mprd.config.data import names_beside
from mprd.errors import broken_link
from mprd.pipeline.conditions import SYNTHETIC
from mprd.pipeline.stages import STAGES, stage


def stage_settings(config: Config, name: str, *, final: bool = False) -> dict[str, Any]:
    """Return the settings that a stage reads, nested as in the config, JSON-ready.

    They are stored with its artifacts and decide when the workflow runs it again.

    Args:
        config: of the run.
        name: of the stage.
        final: it works at the end of the run.
    """
    values = config.model_dump(mode="json")
    chosen: dict[str, Any] = {}
    for key in stage(name).keys(config, final=final):
        source, target = values, chosen
        *sections, last = key.split(".")
        for section in sections:
            source, target = source[section], target.setdefault(section, {})
        target[last] = source[last]
    return chosen


def user_files(config: Config, name: str, *, final: bool = False) -> dict[str, Path]:
    """Return the user's own files that a stage reads, by setting: those that are there.

    A missing one is left to the stage, which says what is wrong.
    """
    read = stage(name).keys(config, final=final)
    named = {key: setting(config, key) for key in stage(name).files if _covered(key, read)}
    if features := named.get("data.features"):
        named["data.features, paths"] = names_beside(features)
    if stage(name).plugins:
        named |= {f"plugins.{number}": path for number, path in enumerate(config.plugins)}
    return {key: path for key, path in named.items() if path is not None and path.is_file()}


def missing_files(config: Config) -> list[str]:
    """Return a sentence for each file or folder that a config names and that is not there."""
    keys = dict.fromkeys(key for one in STAGES for key in one.files)
    named = {key: setting(config, key) for key in keys}
    named |= {f"plugins[{number}]": path for number, path in enumerate(config.plugins)}
    if SYNTHETIC.holds(config):
        del named["data.root"]  # the images will be made there
    missing = {key: path for key, path in named.items() if path is not None and not path.exists()}
    return [
        f"{key} names {path}, which is not there" + (f" ({link})" if link else "")
        for key, path in missing.items()
        for link in [broken_link(path)]
    ]


def setting(config: Config, key: str) -> Any:
    """Return the value of a dotted key."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _covered(key: str, read: tuple[str, ...]) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in read)
