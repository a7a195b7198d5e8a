"""A config that notes which settings are read."""

from typing import Any

from pydantic import BaseModel

from mprd.config import Config


class Reader:
    """A config that notes which fields are read; those that a stage sets itself do not count."""

    def __init__(
        self,
        model: BaseModel,
        seen: set[str],
        prefix: str = "",
        own: frozenset[str] = frozenset(),
    ) -> None:
        self._model, self._seen, self._prefix, self._own = model, seen, prefix, own

    def __getattr__(self, name: str) -> Any:
        kind = type(self._model)
        if name == "model_copy":
            return lambda update: Reader(
                self._model.model_copy(update=update),
                self._seen,
                self._prefix,
                self._own | set(update),
            )
        if isinstance(getattr(kind, name, None), property):
            return getattr(kind, name).fget(self)
        value = getattr(self._model, name)
        if isinstance(value, BaseModel):
            return Reader(value, self._seen, f"{self._prefix}{name}.")
        if name in kind.model_fields and name not in self._own:
            self._seen.add(self._prefix + name)
        return value


def plain(config: Any) -> Config:
    """Return the config itself."""
    return config._model if isinstance(config, Reader) else config
