"""Pieces that a setting names: data set readers, backbones, clusterings, losses, descriptors ...

A piece is one file in the folder of its kind, with `@REGISTRY.register("name")` on a function or
class. Names are found by reading these files, and only the file of a piece that is asked for is
imported (of data sets all, which are light). So a wrong name is told before anything runs, a heavy
library is imported only where it is used, and a new or changed piece makes only those runs stale
that use it.
"""

import ast
import importlib
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from mprd.config import Config
from mprd.errors import UserError, did_you_mean

T = TypeVar("T")
_PACKAGE = Path(__file__).parents[1]


class Kind(NamedTuple):
    """A kind of piece.

    Attributes:
        word: what a piece is called.
        package: its modules register such pieces.
        home: the module of the package that holds the registry: who imports it may use any piece.
    """

    word: str
    package: str
    home: str


# Setting that names a piece (or several) -> its kind.
PIECES = {
    "data.dataset": Kind("data set", "mprd.data.datasets", "registry"),
    "model.backbone": Kind("backbone", "mprd.models.backbones", "registry"),
    "cluster.method": Kind("clustering", "mprd.clustering", "registry"),
    "train.losses": Kind("loss", "mprd.losses", "registry"),
    "train.memory": Kind("memory", "mprd.losses.memories", "registry"),
    "evaluate.baselines": Kind("descriptor", "mprd.inference", "registry"),
    "gcn.network": Kind("relation network", "mprd.gcn.networks", "registry"),
}


class Registry(Generic[T]):
    """The pieces of one kind, by name."""

    def __init__(self, setting: str) -> None:
        """Set up an empty registry.

        Args:
            setting: the setting that names its pieces, a key of `PIECES`.
        """
        self.kind = PIECES[setting]
        self._pieces: dict[str, T] = {}

    def register(self, *names: str) -> Callable[[T], T]:
        """Return a decorator that registers a piece under literal names or patterns (`timm/*`)."""

        def add(piece: T) -> T:
            self._pieces.update(dict.fromkeys(names, piece))
            return piece

        return add

    def names(self) -> list[str]:
        """Return all names, sorted; nothing is imported."""
        return sorted({*registered(self.kind.package), *self._pieces})

    def __getitem__(self, name: str) -> T:
        """Return a piece: that of this name, or of a pattern that fits it.

        Raises:
            UserError: no piece has this name; the nearest is offered.
        """
        shipped = registered(self.kind.package)
        known = _match(name, self.names())
        if known is None:
            raise _unknown(self.kind, name, self.names())
        if known not in self._pieces:
            importlib.import_module(shipped[known])
        return self._pieces[known]


@cache
def registered(package: str) -> dict[str, str]:
    """Return name -> module of all pieces that the modules of a package register.

    Args:
        package: such as `mprd.clustering`; its files are read, not imported.
    """
    found: dict[str, str] = {}
    for path in sorted(_PACKAGE.joinpath(*package.split(".")[1:]).glob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except SyntaxError as error:
            raise UserError(f"{path}, line {error.lineno}: {error.msg}. Fix the file.") from None
        found |= dict.fromkeys(_registrations(tree), f"{package}.{path.stem}")
    return found


def chosen_modules(config: Config, key: str) -> list[str]:
    """Return the modules of the pieces that a setting, a key of `PIECES`, names in a config."""
    shipped = registered(PIECES[key].package).items()
    known = {spelling_key(name): module for name, module in shipped}
    found = [_match(spelling_key(name), list(known)) for name in _named(config, key)]
    return [known[name] for name in found if name is not None]


def check_names(config: Config) -> None:
    """Check that every piece that a config names exists.

    Data sets are left to their own registry: a user's file may register more of them.

    Raises:
        UserError: one does not; the nearest name is offered.
    """
    for key, kind in PIECES.items():
        known = sorted(registered(kind.package))
        for name in _named(config, key) if key != "data.dataset" else ():
            if _match(name, known) is None:
                raise _unknown(kind, name, known)


def spelling_key(word: str) -> str:
    """Return a name without case, `-`, `_` and spaces, which do not matter in data set names."""
    return re.sub(r"[-_\s]", "", word).lower()


def _match(name: str, known: list[str]) -> str | None:
    """Return the known name or pattern that a name stands for."""
    if name in known:
        return name
    return next((pattern for pattern in known if fnmatchcase(name, pattern)), None)


def _unknown(kind: Kind, name: str, known: list[str]) -> UserError:
    return UserError(
        f"Unknown {kind.word} {name!r}{did_you_mean(name, known)}. Known: {', '.join(known)}."
    )


def _named(config: Config, key: str) -> list[str]:
    """Return the names that a setting holds: one, several, or the keys of a mapping."""
    value: Any = config
    for part in key.split("."):
        value = getattr(value, part)
    return [value] if isinstance(value, str) else list(value)


def _registrations(tree: ast.Module) -> Iterator[str]:
    """Yield the literal names (and aliases) in the `register(...)` decorators of a module."""
    for node in tree.body:
        for call in getattr(node, "decorator_list", []):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("register"):
                aliases = [k.value for k in call.keywords if k.arg == "aliases"]
                nested = [v for value in aliases for v in getattr(value, "elts", [])]
                for value in (*call.args, *nested):
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield value.value
