"""Images that come to a finished run: which of them are new, and where and when they were taken."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mprd.artifacts import Artifact, sha256_file
from mprd.config import Config
from mprd.data.added import Added
from mprd.data.image_paths import named_images, readable
from mprd.data.images import image_size
from mprd.data.index import camera_names, split_rows
from mprd.errors import UserError, many
from mprd.inference.sightings import listed_sightings, seen_in_path

_MANIFESTS = (".csv", ".parquet")
_SHOWN = 5  # cameras that a note names


class Candidate(NamedTuple):
    """An image that a user names.

    Attributes:
        file: where it lies.
        shown: the path in which patterns are looked for, see `named_images`.
        camera: name, "" unknown.
        time: NaN unknown.
        side: of the animal, "" unknown.
    """

    file: Path
    shown: Path
    camera: str
    time: float
    side: str


class Arrival(NamedTuple):
    """An image that the run does not have yet.

    Attributes:
        candidate: what the user named.
        number: which of the candidates it is.
        path: below the folder of the run's images, else absolute.
        sha256: of the file.
        size: width and height.
    """

    candidate: Candidate
    number: int
    path: str
    sha256: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Arrivals:
    """What is new of the images that a user names.

    Attributes:
        new: the images.
        notes: what is not, or is unusual, as sentences.
    """

    new: list[Arrival]
    notes: list[str]


def candidates(
    sources: Sequence[Path], index: Artifact, config: Config, *, skip_unreadable: bool
) -> list[Candidate]:
    """Return the images that a user names.

    Args:
        sources: files, folders, or manifests, which tell camera, time and side.
        index: of the run.
        config: of the run, whose `data.camera`, `data.time` and `data.side` find them elsewhere.
        skip_unreadable: leave out what cannot be decoded, with a note.

    Raises:
        UserError: as `named_images` and `listed_sightings`.
    """
    found: list[Candidate] = []
    for source in sources:
        if source.suffix.lower() in _MANIFESTS and source.is_file():
            found += _listed(source, index, skip_unreadable=skip_unreadable)
            continue
        for file, shown in named_images([source], skip_unreadable=skip_unreadable):
            seen = seen_in_path(file, shown, config.data)
            found.append(Candidate(file, shown, seen.camera, seen.time, seen.side))
    return found


def _listed(manifest: Path, index: Artifact, *, skip_unreadable: bool) -> Iterator[Candidate]:
    listing = listed_sightings(manifest, str(index.attributes["time_unit"]))
    names, files = [*listing.camera_names, ""], [listing.root / r.path for r in listing.records]
    whole = set(readable(files)) if skip_unreadable else set(files)
    for one, file in zip(listing.records, files, strict=True):
        if file in whole:
            yield Candidate(file, Path(one.path), names[one.camera], one.time, one.side)


def arriving(named: Sequence[Candidate], index: Artifact, before: Added) -> Arrivals:
    """Return the images that neither the run nor its added images have, each once.

    Args:
        named: the images.
        index: of the run.
        before: images that were added already.

    Raises:
        UserError: an image cannot be read, or its file was changed since the run has it.
    """
    rows = split_rows(index, "train")
    paths = [str(path) for path in index["path"][rows]]
    of_run = dict(zip(map(str, index["sha256"][rows]), paths, strict=True))
    of_added = dict(zip(map(str, before["sha256"]), before.paths, strict=True))
    root = Path(str(index.attributes["root"])).resolve()
    seen: dict[str, str] = {}
    new: list[Arrival] = []
    copies: dict[str, list[tuple[str, str]]] = {"run": [], "added": [], "twice": []}
    taken = {*paths, *before.paths}
    for number, one in enumerate(named):
        size, path = image_size(one.file), _name(one.file, root)
        sha256 = sha256_file(one.file)
        known = (("run", of_run), ("added", of_added), ("twice", seen))
        copy = next(((kind, sums[sha256]) for kind, sums in known if sha256 in sums), None)
        if copy is not None:
            copies[copy[0]].append((path, copy[1]))
            continue
        if path in taken:
            raise UserError(
                f"'{path}' is an image of the run, but its file was changed since. Give the new "
                "image another name, or run `mprd run` again."
            )
        seen[sha256] = path
        taken.add(path)
        new.append(Arrival(one, number, path, sha256, size))
    return Arrivals(new, [*_copy_notes(copies), *_camera_notes(new, camera_names(index))])


def _name(file: Path, root: Path) -> str:
    """Return how an image is called in tables and decisions."""
    place = Path(os.path.abspath(file))
    real = place.parent.resolve() / place.name
    path = real.relative_to(root).as_posix() if real.is_relative_to(root) else real.as_posix()
    try:
        path.encode()
    except UnicodeEncodeError:
        raise UserError(f"'{path}' is no name in UTF-8. Rename the image or its folder.") from None
    return path


def _copy_notes(copies: dict[str, list[tuple[str, str]]]) -> Iterator[str]:
    words = {
        "run": "in the run already",
        "added": "added already",
        "twice": "twice among these images",
    }
    for kind, found in copies.items():
        if found:
            path, other = found[0]
            same = "" if path == other else f" (as '{other}')"
            left = "it is" if len(found) == 1 else "they are"
            yield (
                f"{many(len(found), 'image is', 'images are')} {words[kind]}, as the same "
                f"file, and left as {left}: '{path}'{same}"
            )


def _camera_notes(new: Iterable[Arrival], names: Sequence[str]) -> Iterator[str]:
    """Yield a note on images of cameras that the run does not know."""
    if not names:
        return
    strange = [one.candidate.camera for one in new if one.candidate.camera not in names]
    if strange:
        cameras = sorted({name for name in strange if name})
        shown = ", ".join(cameras[:_SHOWN]) + (" and others" if len(cameras) > _SHOWN else "")
        which = f"of cameras that the run does not know ({shown})" if cameras else "of no camera"
        yield (
            f"{many(len(strange), 'image is', 'images are')} {which}; what all "
            "images share is taken from them, not what those of a camera share"
        )
