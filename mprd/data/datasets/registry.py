"""The data sets by name: registering readers, finding a data set on disk, reading it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent

from mprd.data.datasets.base import (
    ImageRecord,
    Listing,
    finish,
    without_unlisted,
)
from mprd.data.datasets.clock import FRAMES
from mprd.data.datasets.path_labels import with_cameras, with_sides, with_times, with_tracks
from mprd.errors import UserError, broken_link, did_you_mean
from mprd.pipeline.pieces import spelling_key
from mprd.pipeline.registry import Registry, load_plugin

ReadFunction = Callable[[Path], Listing | Iterable[ImageRecord]]


@dataclass(frozen=True)
class Reader:
    """How a data set is found and read.

    Attributes:
        read: gets the root of the data set and returns a `Listing`, or any iterable of
            `ImageRecord`. The order of the records does not matter: they are sorted afterwards.
        tree: the expected files, shown when the data set is not found.
        folders: names that the folder of the data set is known by. Without any, the root is
            the data folder itself.
        layouts: sets of paths below the root; one set must be there in full.
    """

    read: ReadFunction
    tree: str = ""
    folders: tuple[str, ...] = ()
    layouts: tuple[tuple[str, ...], ...] = ()


READERS: Registry[Reader | ReadFunction] = Registry("data.dataset")


def reader(
    *, tree: str, folders: tuple[str, ...] = (), layouts: tuple[tuple[str, ...], ...] = ()
) -> Callable[[ReadFunction], Reader]:
    """Return a decorator that makes a function a `Reader`; arguments as there."""
    return lambda read: Reader(read, dedent(tree).strip("\n"), folders, layouts)


def register(
    name: str,
    *,
    aliases: tuple[str, ...] = (),
    tree: str = "",
    folders: tuple[str, ...] = (),
    layouts: tuple[tuple[str, ...], ...] = (),
) -> Callable[[ReadFunction], ReadFunction]:
    """Return a decorator for a user's file: it registers a function as the reader of a data set.

    Args:
        name: the name users write; case, `-`, `_` and spaces are ignored.
        aliases: other names for it.
        tree: this and the following as in `Reader`.
        folders: names of its folder.
        layouts: sets of paths.

    Raises:
        UserError: another reader has the name or an alias already.

    Example:
        >>> @register("shop", aliases=("myshop",))  # doctest: +SKIP
        ... def read_shop(root: Path) -> Iterable[ImageRecord]:
        ...     for path in root.glob("*.png"):
        ...         yield ImageRecord(path.name, "train")
    """

    def decorate(read: ReadFunction) -> ReadFunction:
        made = reader(tree=tree, folders=folders, layouts=layouts)(read)
        READERS.register(name, *aliases)(made)
        return read

    return decorate


def load_reader(path: Path) -> None:
    """Run a user's reader file, so that the data sets that it registers can be read.

    Raises:
        UserError: the file is missing, is not Python, fails, or registers no data set.
    """
    load_plugin(path, "data.reader", "data.dataset")


def names() -> list[str]:
    """Return the canonical names of all data sets, sorted."""
    return sorted({READERS.kind.canonical(name) for name in READERS.names()})


def canonical_name(name: str) -> str:
    """Return the name that a data set is registered by, for any way a user writes it.

    Raises:
        UserError: no data set has this name; the message offers the nearest.

    Example:
        >>> canonical_name("Market-1501")
        'market1501'
    """
    known = READERS.kind.find(name)
    if known is None:
        raise UserError(
            f"There is no data set '{name}'{did_you_mean(spelling_key(name), READERS.names())}. "
            f"Known are {', '.join(names())}; for your own images use 'folder'."
        )
    return READERS.kind.canonical(known)


def read_dataset(
    name: str,
    data_dir: Path,
    camera: str | None = None,
    *,
    time: str | None = None,
    time_format: str = FRAMES,
    track: str | None = None,
    side: str | None = None,
    skip_unlisted: bool = False,
) -> Listing:
    """List the images of a data set, sorted by split and path.

    Args:
        name: a data set name as users write it.
        data_dir: the folder of all data sets, or the folder of this one.
        camera: pattern that finds the camera in the path of an image; None: as the reader says.
        time: pattern that finds the time; None: as the reader says.
        time_format: how a time in a path is written: frames, seconds, or a `strptime` format.
        track: pattern that finds the track; None: as the reader says.
        side: pattern that finds the side of the animal; None: as the reader says.
        skip_unlisted: leave out folders and files that cannot be listed, with a note.

    Raises:
        UserError: unknown name, data set not found or incomplete, file names that do not fit, a
            folder that cannot be listed.
    """
    root = find_root(name, data_dir)
    result = _reader(name).read(root)
    listing = result if isinstance(result, Listing) else Listing(root, tuple(result))
    listing = without_unlisted(listing, skip=skip_unlisted)
    return labelled(
        name, listing, camera, time=time, time_format=time_format, track=track, side=side
    )


def labelled(
    name: str,
    listing: Listing,
    camera: str | None = None,
    *,
    time: str | None = None,
    time_format: str = FRAMES,
    track: str | None = None,
    side: str | None = None,
) -> Listing:
    """Return a listing with what patterns find in its paths, sorted by split and path.

    Args:
        name: of the data set.
        listing: as the reader made it.
        camera: this and the following as in `read_dataset`.
        time: pattern.
        time_format: see there.
        track: pattern.
        side: pattern.

    Raises:
        UserError: paths that do not fit.
    """
    if camera is not None:
        listing = with_cameras(listing, camera)
    if time is not None:
        listing = with_times(listing, time, time_format)
    if track is not None:
        listing = with_tracks(listing, track)
    if side is not None:
        listing = with_sides(listing, side)
    return finish(canonical_name(name), listing)


def _reader(name: str) -> Reader:
    found = READERS[canonical_name(name)]
    return found if isinstance(found, Reader) else Reader(found)


def find_root(name: str, data_dir: Path) -> Path:
    """Return the folder (or manifest) of a data set.

    Args:
        name: a data set name as users write it.
        data_dir: the folder of all data sets, or the folder of this one.

    Raises:
        UserError: unknown name, not found or incomplete.
    """
    reader, name = _reader(name), canonical_name(name)
    places = _places(name, reader, data_dir)
    for place in places:
        if place.exists() and (not reader.layouts or not _lacking(reader, place)):
            return place
    partial = [
        f"{place} lacks {', '.join(_lacking(reader, place))}. "
        for place in places
        if any((place / part).exists() for layout in reader.layouts for part in layout)
    ]
    looked = dict.fromkeys(f"  {broken_link(place) or place}" for place in places)
    tree = ["Expected:", *indent(reader.tree, "  ").splitlines()] if reader.tree else []
    raise UserError(
        f"The data set '{name}' was not found. {''.join(partial[:1])}Looked at:",
        *looked,
        *tree,
        "Put it in one of these places, or name the folder that holds it as the data folder.",
    )


def _places(name: str, reader: Reader, data_dir: Path) -> list[Path]:
    if not reader.folders:
        return [data_dir]
    bases = (data_dir / name, data_dir)
    return [base / folder for base in bases for folder in reader.folders] + list(bases)


def _lacking(reader: Reader, place: Path) -> list[str]:
    """Return what the best-matching layout lacks at this place; nothing when it is complete."""
    lacking = [[p for p in layout if not (place / p).exists()] for layout in reader.layouts]
    return min(lacking, key=len)
