"""The data sets by name: registering readers, finding a data set on disk, reading it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

from mprd.data.datasets.base import ImageRecord, Listing, finish
from mprd.data.datasets.cameras import with_cameras
from mprd.errors import UserError, did_you_mean
from mprd.pipeline.registry import spelling_key

ReadFunction = Callable[[Path], Listing | Iterable[ImageRecord]]


@dataclass(frozen=True)
class Reader:
    """A registered reader; the fields are the arguments of `register`."""

    name: str
    aliases: tuple[str, ...]
    tree: str
    folders: tuple[str, ...]
    layouts: tuple[tuple[str, ...], ...]
    read: ReadFunction

    @property
    def module(self) -> str:
        """The module that the reader was written in."""
        return self.read.__module__


READERS: dict[str, Reader] = {}


def register(
    name: str,
    *,
    aliases: tuple[str, ...] = (),
    tree: str = "",
    folders: tuple[str, ...] = (),
    layouts: tuple[tuple[str, ...], ...] = (),
) -> Callable[[ReadFunction], ReadFunction]:
    """Register the decorated function as the reader of a data set.

    The function gets the root of the data set and returns a `Listing`, or any iterable of
    `ImageRecord`. The order of the records does not matter: they are sorted afterwards.

    Args:
        name: the name users write; case, `-`, `_` and spaces are ignored.
        aliases: other names for it.
        tree: the expected files, shown when the data set is not found.
        folders: names that the folder of the data set is known by. Without any, the root is
            the data folder itself.
        layouts: sets of paths below the root; one set must be there in full.

    Raises:
        UserError: another reader has the name or an alias already.

    Example:
        >>> @register("shop", aliases=("myshop",))  # doctest: +SKIP
        ... def read_shop(root: Path) -> Iterable[ImageRecord]:
        ...     for path in root.glob("*.png"):
        ...         yield ImageRecord(path.name, "train")
    """

    def decorate(read: ReadFunction) -> ReadFunction:
        reader = Reader(name, aliases, dedent(tree).strip("\n"), folders, layouts, read)
        taken = _by_key()
        for word in (name, *aliases):
            other = taken.get(spelling_key(word))
            if other is not None and other.module != reader.module:
                raise UserError(
                    f"The data set name '{word}' belongs to the reader '{other.name}' already: "
                    "choose another name for yours."
                )
        READERS[name] = reader
        return read

    return decorate


def names() -> list[str]:
    """Return the canonical names of all data sets, sorted."""
    return sorted(READERS)


def canonical_name(name: str) -> str:
    """Return the name that a data set is registered by, for any way a user writes it.

    Raises:
        UserError: no data set has this name; the message offers the nearest.

    Example:
        >>> canonical_name("Market-1501")
        'market1501'
    """
    return _reader(name).name


def read_dataset(name: str, data_dir: Path, camera: str | None = None) -> Listing:
    """List the images of a data set, sorted by split and path.

    Args:
        name: a data set name as users write it.
        data_dir: the folder of all data sets, or the folder of this one.
        camera: pattern that finds the camera in the path of an image; None: as the reader says.

    Raises:
        UserError: unknown name, data set not found or incomplete, file names that do not fit.
    """
    reader = _reader(name)
    root = find_root(name, data_dir)
    result = reader.read(root)
    listing = result if isinstance(result, Listing) else Listing(root, tuple(result))
    if camera is not None:
        listing = with_cameras(listing, camera)
    return finish(reader.name, listing)


def _by_key() -> dict[str, Reader]:
    return {spelling_key(word): r for r in READERS.values() for word in (r.name, *r.aliases)}


def _reader(name: str) -> Reader:
    known = _by_key()
    if spelling_key(name) not in known:
        raise UserError(
            f"There is no data set '{name}'{did_you_mean(spelling_key(name), known)}. "
            f"Known are {', '.join(names())}; for your own images use 'folder'."
        )
    return known[spelling_key(name)]


def find_root(name: str, data_dir: Path) -> Path:
    """Return the folder (or manifest) of a data set.

    Args:
        name: a data set name as users write it.
        data_dir: the folder of all data sets, or the folder of this one.

    Raises:
        UserError: unknown name, not found or incomplete.
    """
    reader = _reader(name)
    places = _places(reader, data_dir)
    for place in places:
        if place.exists() and (not reader.layouts or not _lacking(reader, place)):
            return place
    partial = [
        f"{place} lacks {', '.join(_lacking(reader, place))}. "
        for place in places
        if any((place / part).exists() for layout in reader.layouts for part in layout)
    ]
    looked = "\n".join(f"  {place}" for place in places)
    tree = f"\nExpected:\n{indent(reader.tree, '  ')}" if reader.tree else ""
    raise UserError(
        f"The data set '{reader.name}' was not found. {''.join(partial[:1])}"
        f"Looked at:\n{looked}{tree}\n"
        "Put it in one of these places, or name the folder that holds it as the data folder."
    )


def _places(reader: Reader, data_dir: Path) -> list[Path]:
    if not reader.folders:
        return [data_dir]
    bases = (data_dir / reader.name, data_dir)
    return [base / folder for base in bases for folder in reader.folders] + list(bases)


def _lacking(reader: Reader, place: Path) -> list[str]:
    """Return what the best-matching layout lacks at this place; nothing when it is complete."""
    lacking = [[p for p in layout if not (place / p).exists()] for layout in reader.layouts]
    return min(lacking, key=len)
