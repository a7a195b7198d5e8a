"""Access to pieces by name, and the user's files that register more of them: plugins."""

import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from mprd.config import Config
from mprd.errors import UserError, why_no_file
from mprd.pipeline.pieces import PIECES, Added, chosen_names

T = TypeVar("T")
_loaded: dict[Path, bytes] = {}  # plugin -> the code that was run
_running: list[Path] = []  # plugins whose code runs now, the innermost last


class Registry(Generic[T]):
    """The pieces of one kind, by name."""

    def __init__(self, setting: str) -> None:
        """Set up access to the pieces of a kind.

        Args:
            setting: the setting that names its pieces, a key of `PIECES`.
        """
        self.kind = PIECES[setting]

    def register(self, *names: str) -> Callable[[T], T]:
        """Return a decorator for plugins: it adds a piece under names or patterns (`mine/*`).

        Raises:
            UserError: a piece of mprd, or of another file, has such a name.
        """
        kind, file = self.kind, _running[-1] if _running else None

        def add(piece: T) -> T:
            for name in names:
                key = kind.spelled(name)
                other = kind.added.get(key)
                if key in kind.shipped or (other is not None and other.file != file):
                    owner = "mprd" if other is None else other.file or "a piece of this program"
                    raise UserError(
                        f"the {kind.word} name '{name}' belongs to {owner} already: choose another."
                    )
                kind.added[key] = Added(names[0], piece, file)
            return piece

        return add

    def names(self) -> list[str]:
        """Return all names, sorted; nothing is imported."""
        return self.kind.names()

    def __getitem__(self, name: str) -> T:
        """Return a piece: that of this name, or of a pattern that fits it.

        Raises:
            UserError: no piece has this name; the nearest is offered.
        """
        known = self.kind.find(name)
        if known is None:
            raise self.kind.unknown(name)
        if known in self.kind.added:
            return self.kind.added[known].piece
        module, _, attribute = self.kind.shipped[known].partition(":")
        return getattr(importlib.import_module(module), attribute)


def check_names(config: Config) -> None:
    """Load the plugins of a config, and check that every piece that it names exists.

    Data sets are left to their own registry: a user's reader may register more of them.

    Raises:
        UserError: a plugin cannot be loaded, or a name is unknown; the nearest is offered.
    """
    load_plugins(config)
    for key, kind in PIECES.items():
        for name in chosen_names(config, key) if key != "data.dataset" else ():
            if kind.find(name) is None:
                raise kind.unknown(name)


def plugin_files(config: Config) -> list[Path]:
    """Return the user's files whose code pieces of a run may use."""
    return list(config.plugins)


def load_plugins(config: Config) -> None:
    """Run the plugins of a config, so that the pieces that they register can be used.

    Raises:
        UserError: as `load_plugin`.
    """
    for path in plugin_files(config):
        load_plugin(path)


def load_plugin(path: Path, setting: str = "plugins", *keys: str) -> None:
    """Run a plugin once; where its text has changed, again, in place of what it registered before.

    Args:
        path: Python file.
        setting: that names it, for messages.
        keys: of `PIECES`; it must register a piece of one of these kinds. Default: of any.

    Raises:
        UserError: the file is missing, is not Python, fails, registers nothing, or registers a
            name that is taken.
    """
    if not path.is_file() or path.suffix != ".py":
        why = "" if path.is_file() else f" ({why_no_file(path)})"
        raise UserError(
            f"{setting} names {path}, which is not there or is no .py file{why}: correct it."
        )
    file, code = path.resolve(), path.read_bytes()
    if _loaded.get(file) == code:
        return
    before = {kind.word: dict(kind.added) for kind in PIECES.values()}
    for kind in PIECES.values():
        for name in [name for name, added in kind.added.items() if added.file == file]:
            del kind.added[name]
    _running.append(file)
    try:
        _execute(path, code)
        wanted = [PIECES[key] for key in keys or PIECES]
        if all(added.file != file for kind in wanted for added in kind.added.values()):
            words = "piece" if len(wanted) > 1 else wanted[0].word
            raise UserError(
                f"{path}, which {setting} names, registers no {words}: put a decorator such as "
                "@register('a name') on a function or class (docs/howto/extend.md)."
            )
    except BaseException:
        for kind in PIECES.values():
            kind.added.clear()
            kind.added.update(before[kind.word])
        raise
    finally:
        _running.pop()
    _loaded[file] = code


def _execute(path: Path, code: bytes) -> None:
    """Run a plugin as a module of its own; no compiled file is written beside it, or read."""
    number = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    module = ModuleType(f"mprd_plugin_{number}")
    module.__file__ = str(path.absolute())
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, module.__file__, "exec"), module.__dict__)
    except UserError as error:
        raise UserError(f"{_place(path, error)}: {error}") from None
    except Exception as error:
        what = " ".join(str(getattr(error, "msg", error)).split())
        raise UserError(
            f"{_place(path, error)}: the file fails on import: {type(error).__name__}: {what}"
        ) from error


def _place(path: Path, error: Exception) -> str:
    """Return a file, and the line in it where an error arose."""
    here, frames = str(path.absolute()), traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == here]
    if isinstance(error, SyntaxError) and error.filename == here:
        lines.append(error.lineno)
    return f"{path}, line {lines[-1]}" if lines else str(path)
