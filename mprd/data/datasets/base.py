"""What a reader returns, and the checks that every listing passes."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Literal, get_args

from mprd.data.datasets.tracks import check_tracks
from mprd.data.leaving_out import or_left_out
from mprd.errors import UserError, many

Split = Literal["train", "query", "gallery"]
SPLITS: tuple[Split, ...] = get_args(Split)
TimeUnit = Literal["seconds", "frames", ""]

# Of file managers, and folders of small copies and deleted files that network drives keep.
_LITTER = {"thumbs.db", "desktop.ini", "@eadir", "#recycle", "$recycle.bin", "__macosx"}


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image: where it lies and what is known of it.

    Attributes:
        path: posix path relative to the root of the listing.
        split: `train`, `query` or `gallery`.
        identity: -1 when unknown.
        camera: zero-based, -1 when unknown.
        time: when it was taken, in the unit of the listing; NaN when unknown.
        track: name of the track that it belongs to, "" when unknown. A track is what one camera saw
            of one object without a break; a name stands for one track in the whole listing.
        side: of the animal that it shows, such as left or right, "" when unknown.
    """

    path: str
    split: Split
    identity: int = -1
    camera: int = -1
    time: float = math.nan
    track: str = ""
    side: str = ""

    def __eq__(self, other: object) -> bool:
        """Tell whether all fields are equal; two unknown times are."""
        return isinstance(other, ImageRecord) and self._key() == other._key()

    def __hash__(self) -> int:
        """Return a hash that fits `__eq__`."""
        return hash(self._key())

    def _key(self) -> tuple[object, ...]:
        time = None if math.isnan(self.time) else self.time
        return self.path, self.split, self.identity, self.camera, time, self.track, self.side


@dataclass(frozen=True)
class Listing:
    """The images of a data set.

    Attributes:
        root: folder that paths are relative to.
        records: the images.
        notes: lines about it that the user should read.
        camera_names: of the cameras 0, 1, ...; empty: they have numbers only.
        identity_names: of the identities 0, 1, ...; empty: they have numbers only.
        time_unit: of the times, "" if there are none. Seconds count from any start; dates count
            from the beginning of 1970.
        unlisted: folder or file that could not be listed -> why.
    """

    root: Path
    records: tuple[ImageRecord, ...]
    notes: tuple[str, ...] = ()
    camera_names: tuple[str, ...] = ()
    identity_names: tuple[str, ...] = ()
    time_unit: TimeUnit = ""
    unlisted: Mapping[str, str] = field(default_factory=dict)


def is_litter(name: str) -> bool:
    """True for hidden files and for what file managers and network drives leave behind."""
    return name.startswith(".") or name.lower() in _LITTER


def finish(name: str, listing: Listing) -> Listing:
    """Check a listing, sort it by split and path, and add the notes that hold for any data set.

    Raises:
        UserError: no images, a malformed record, a path listed twice in a split, query images
            without a gallery or without an identity, a track of two cameras.
    """
    where = f"data set '{name}' in {listing.root}"
    if not listing.records:
        raise UserError(f"The {where} holds no images.")
    if listing.time_unit not in get_args(TimeUnit):
        raise UserError(
            f"The reader of the {where} gave the time unit {listing.time_unit!r}: it must be "
            "'seconds' or 'frames'."
        )
    for record in listing.records:
        _check_record(record, where)
    records = sorted(listing.records, key=lambda r: (SPLITS.index(r.split), r.path))
    for record, following in pairwise(records):
        if (record.split, record.path) == (following.split, following.path):
            raise UserError(
                f"The {where} lists '{record.path}' twice in the split {record.split}: "
                "remove one of the two."
            )
    splits = {record.split for record in records}
    if "query" in splits and "gallery" not in splits:
        raise UserError(
            f"The {where} has query images but no gallery to search: "
            "add images with the split gallery, or remove those with the split query."
        )
    mixed = check_tracks(
        [record.track for record in records],
        cameras=[record.camera for record in records],
        identities=[record.identity for record in records],
        camera_names=listing.camera_names,
    )
    timed = any(not math.isnan(record.time) for record in records)
    return replace(
        listing,
        records=tuple(records),
        notes=(*listing.notes, *_notes(records), *mixed),
        time_unit=(listing.time_unit or "seconds") if timed else "",
    )


def _check_record(record: object, where: str) -> None:
    if not isinstance(record, ImageRecord) or not isinstance(record.path, str):
        raise UserError(
            f"The reader of the {where} gave {record!r}: "
            "it must give ImageRecord objects whose path is a str."
        )
    if record.split not in SPLITS or record.identity < -1 or record.camera < -1:
        raise UserError(
            f"The reader of the {where} gave {record!r}: the split must be one of "
            f"{', '.join(SPLITS)}, identity and camera must be -1 (unknown) or more."
        )
    if not isinstance(record.time, Real) or math.isinf(record.time):
        raise UserError(
            f"The reader of the {where} gave '{record.path}' the time {record.time!r}: it must be "
            "a number of seconds or frames, or NaN (unknown)."
        )
    if not isinstance(record.track, str):
        raise UserError(
            f"The reader of the {where} gave '{record.path}' the track {record.track!r}: it must "
            'be a str, "" for unknown.'
        )
    if not isinstance(record.side, str):
        raise UserError(
            f"The reader of the {where} gave '{record.path}' the side {record.side!r}: it must be "
            'a str, "" for unknown.'
        )
    if record.split == "query" and record.identity < 0:
        raise UserError(
            f"The {where} has the query image '{record.path}' without an identity, so no answer "
            "to it could be right: give its identity, or move it to another split."
        )


def _notes(records: list[ImageRecord]) -> list[str]:
    notes = []
    train = [record.camera for record in records if record.split == "train"]
    test = [record.camera for record in records if record.split != "train"]
    # Without test images the filter is reported for the training images.
    users = (("the camera-aware sampler", train), ("the same-camera filter", test or train))
    off = [user for user, cameras in users if -1 in cameras]
    if off:
        missing = sum(record.camera < 0 for record in records)
        one, plural = len(off) == 1, missing != 1
        means = f"{'does' if one else 'do'} not apply to {'them' if plural else 'it'}"
        if missing == len(records):
            means = f"{'is' if one else 'are'} off"
        notes.append(
            f"{missing} of {len(records)} images {'have' if plural else 'has'} no camera: "
            f"{' and '.join(off)} {means}."
        )
    if not train:
        notes.append("There are no train images: this data set can be evaluated, not trained on.")
    if all(record.split != "query" for record in records):
        notes.append("There are no query images: evaluation is skipped.")
    return notes


def without_unlisted(listing: Listing, *, skip: bool) -> Listing:
    """Return a listing; what could not be listed is an error, or with `skip` a note.

    Raises:
        UserError: something could not be listed.
    """
    if not listing.unlisted:
        return listing
    path, why = next(iter(listing.unlisted.items()))
    count = len(listing.unlisted)
    more = f"; {count} folders or files are so" if count > 1 else ""
    if not skip or not listing.records:
        raise UserError(
            f"'{path}' in {listing.root} cannot be listed ({why}{more}), so images would be "
            f"missing. Make it readable{or_left_out('it')}"
        )
    what = many(count, "folder or file", "folders or files")
    note = f"Left out {what} that cannot be listed, first '{path}' ({why})."
    return replace(listing, notes=(*listing.notes, note))


def known_side(name: str) -> str:
    """Return the name of a side, "" where it says that the side is unknown."""
    return "" if name.lower() == "unknown" else name


def numbered(names: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct names in order: numbers inside them count as numbers."""
    return tuple(sorted(set(names), key=_natural))


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), part) if part.isdecimal() else (1, 0, part) for part in parts]
