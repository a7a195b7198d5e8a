"""What every section of the settings shares."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

_SHORTHAND = re.compile(r"^~|\$")
DEVICE = r"^(auto|cpu|cuda(:\d+)?)$"  # what a device may be called
Probability = Annotated[float, Field(ge=0, le=1)]
_LARGEST = 2**31 - 1  # number in a config


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors.

    In paths `~` and environment variables stand for what a shell would put there, but if a file of
    that very name is there. A variable that is not set is an error.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _plain_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`yes` is no number to a person, and larger counts than these are slips of a key."""
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        if kinds & {int, float} and bool not in kinds:
            _require_plain(value)
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _expanded(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(cls._expanded(item) for item in value)
        if not isinstance(value, Path) or not _SHORTHAND.search(str(value)) or value.exists():
            return value
        try:
            path = os.path.expandvars(value.expanduser())
        except RuntimeError:
            raise ValueError(f"`{value}` names the home of a user who is not known") from None
        if re.search(r"\$[{\w]", path):
            raise ValueError(f"`{value}` names an environment variable that is not set")
        return Path(path)


def _kinds(annotation: Any) -> set[type]:
    """Return the types that an annotation is made of."""
    parts = get_args(annotation)
    if parts:
        return {kind for part in parts for kind in _kinds(part)}
    return {annotation} if isinstance(annotation, type) else set()


def _require_plain(value: Any) -> None:
    """Check a number, or those that a list or mapping holds."""
    if isinstance(value, list | tuple):
        for item in value:
            _require_plain(item)
    elif isinstance(value, dict):
        _require_plain(list(value.values()))
    elif isinstance(value, bool):
        raise ValueError(f"{'yes' if value else 'no'} is not a number")
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{value} is too large; at most {_LARGEST}")
