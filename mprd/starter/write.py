"""A commented configuration file."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from mprd.artifacts import atomic
from mprd.config import validate
from mprd.errors import UserError
from mprd.starter.recipe import Recipe
from mprd.starter.survey import Survey


def write_config(out: Path, found: Survey, plan: Recipe, duration: str) -> None:
    """Write the settings with a word on each, and check them.

    Args:
        out: YAML to write; not overwritten.
        found: what the settings are for.
        plan: the settings.
        duration: in words, how long a run takes.

    Raises:
        UserError: the file exists.
    """
    if out.exists():
        raise UserError(f"{out} exists. Name another file with --out, or remove it.")
    environment = Environment(
        loader=PackageLoader("mprd.starter"),
        trim_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["yaml"] = _yaml
    text = environment.get_template("config.yaml.j2").render(
        name=run_name(out),
        file=shlex.quote(str(out)),
        found=found,
        plan=plan,
        duration=duration,
        passes=f"{plan.iters * plan.identities * plan.instances / found.images:.1f}",
    )
    validate(yaml.safe_load(text), str(out))
    with atomic(out, lock=False) as temporary:
        temporary.write_text(text, encoding="utf-8")


def run_name(path: Path) -> str:
    """Return a name for a run, and its folder, from the name of a folder or file."""
    return re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-").lower() or "own"


def duration(seconds: float) -> str:
    """Return a time in words, for people who wait."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"{minutes / 60:.0f} hours" if minutes < 48 * 60 else f"{minutes / 60 / 24:.0f} days"


def _yaml(value: Any) -> str:
    """Return a string as YAML in one line, quoted where it must be."""
    text = yaml.safe_dump(value, width=10**6).removesuffix("\n").removesuffix("\n...")
    return text if "\n" not in text else json.dumps(value)
