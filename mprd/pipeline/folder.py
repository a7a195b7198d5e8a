"""Folders whose files are declared as class attributes, with what they hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self, overload


@dataclass(frozen=True)
class File:
    """A file of a folder; read from an instance of `Folder` it is its path.

    Attributes:
        name: path relative to the folder.
        holds: what is in it, for docs/artifacts.md.
    """

    name: str
    holds: str

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: "Folder", kind: type) -> Path: ...
    def __get__(self, owner: "Folder | None", kind: type) -> "Self | Path":
        """Return the path below the owner's folder (the declaration itself, on the class)."""
        return self if owner is None else owner.folder / self.name


@dataclass(frozen=True)
class Folder:
    """A folder of a run.

    Attributes:
        folder: its path; the files below it are class attributes.
    """

    folder: Path

    @classmethod
    def declared(cls) -> Iterator[File]:
        """Yield the files in the order in which they are declared, those of a base first."""
        for kind in reversed(cls.__mro__):
            yield from (value for value in vars(kind).values() if isinstance(value, File))

    @classmethod
    @cache
    def roles(cls) -> dict[str, File]:
        """Return the files by the name of their attribute."""
        return {
            name: value
            for kind in reversed(cls.__mro__)
            for name, value in vars(kind).items()
            if isinstance(value, File)
        }
