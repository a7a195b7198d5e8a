"""What every section of the settings shares."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

_SHORTHAND = re.compile(r"^~|\$")
DEVICE = r"^(auto|cpu|cuda(:\d+)?)$"  # what a device may be called
Probability = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors.

    In paths `~` and environment variables stand for what a shell would put there, but if a file of
    that very name is there. A variable that is not set is an error.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

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
