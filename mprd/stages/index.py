"""Stage `index`: list every image of a data set, once and for all."""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mprd.artifacts import INDEX, SPLITS, sha256_file, write_artifact
from mprd.config import Config
from mprd.config.data import EXIF
from mprd.data.cameras import camera_lines
from mprd.data.datasets import ImageRecord, Listing, load_reader, read_dataset
from mprd.data.datasets.base import numbered
from mprd.data.deep_ranges import range_notes
from mprd.data.images import (
    DeepRange,
    decode,
    deep_range,
    image_size,
    require_inside,
    time_taken,
)
from mprd.data.times import time_notes
from mprd.errors import UserError, many, say
from mprd.pipeline.location import data_location
from mprd.pipeline.settings import stage_settings
from mprd.stages.exclusive import exclusive
from mprd.system.progress import progress

# Two roles of one picture, and what that means.
_TRAINED = "The network is trained on what it is tested on; figures are too good."
_MET = "They find themselves unless both name one camera; figures are too good."
_ROLES = (("query", "gallery", _MET), ("query", "train", _TRAINED), ("gallery", "train", _TRAINED))
_EIGHT_BITS = (".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".gif")


@dataclass(frozen=True)
class _FileFacts:
    width: int
    height: int
    sha256: str
    time: float  # that the file itself holds, if asked for
    deep: DeepRange | None  # of an image of 16 bits a value


@exclusive
def run_index(
    *,
    out: Path,
    config: Config,
    dataset: str | None = None,
    data_dir: Path | None = None,
    threads: int = 1,
) -> None:
    """List the images of a data set with split, identity, camera, size and checksum.

    Rows are ordered train, query, gallery, then as the reader lists them. With
    `on_bad_image: skip` every image is decoded here, and the unreadable ones are left out;
    otherwise only headers are read, and the pixels stage stops at a damaged one.

    Args:
        out: `index.h5` to write.
        config: the `data` section is read.
        dataset: its name; default from the config.
        data_dir: where the data are; default from the config.
        threads: files read at a time.

    Raises:
        UserError: unknown data set, missing folder, empty split, unreadable image.
    """
    if dataset is not None:
        data = config.data.model_copy(update={"dataset": dataset})
        config = config.model_copy(update={"data": data})
    if config.data.reader is not None:
        load_reader(config.data.reader)
    listing = _listing(config, data_dir or data_location(config))
    require_inside(listing.root, [r.path for r in listing.records], config)
    for note in listing.notes:
        say(note)
    skip, exif = config.data.on_bad_image == "skip", config.data.time == EXIF
    records, facts = _inspect(listing, skip, exif, threads)
    skipped = len(listing.records) - len(records)
    if skipped:
        say(f"Left out {many(skipped, 'unreadable image')}.")
    if not records:
        raise UserError(f"{listing.root} holds no readable image.")
    if exif:
        records = _with_exif(records, facts, listing.root)
    columns = _columns(records, facts) | _tracks(records) | _sides(records)
    unit = "seconds" if exif else listing.time_unit
    notes = (
        *_copies(records, facts),
        *range_notes(
            [fact.deep for fact in facts],
            columns["camera"],
            bits=config.data.bits,
            camera_names=listing.camera_names,
        ),
        *_time_notes(columns, unit, listing),
    )
    for note in notes:
        say(note)
    if "side" in columns:
        say(_side_line(columns))
    for line in camera_lines(columns["camera"], listing.camera_names):
        say(line)
    counts = {s: sum(record.split == s for record in records) for s in SPLITS}
    say(f"{config.data.dataset}: " + ", ".join(f"{counts[s]:,} {s}" for s in SPLITS) + " images")
    write_artifact(
        out,
        INDEX,
        columns | {"identity_names": np.array(listing.identity_names, dtype=object)},
        config=stage_settings(config, "index"),
        inputs={},
        attributes={
            "dataset": config.data.dataset,
            "root": str(listing.root.resolve()),
            "camera_names": json.dumps(listing.camera_names),
            "time_unit": unit if np.isfinite(columns["time"]).any() else "",
            "num_skipped": skipped,
            **{f"num_{s}": counts[s] for s in SPLITS},
        },
    )


def _listing(config: Config, data_dir: Path) -> Listing:
    """Return what the reader lists, with the labels that patterns find in the paths."""
    data = config.data
    pattern = None if data.time == EXIF else data.time
    return read_dataset(
        data.dataset,
        data_dir,
        data.camera,
        time=pattern,
        time_format="frames" if pattern is None else data.time_format,
        track=data.track,
        side=data.side,
        skip_unlisted=data.on_bad_image == "skip",
    )


def _inspect(
    listing: Listing, skip: bool, exif: bool, threads: int
) -> tuple[list[ImageRecord], list[_FileFacts]]:
    """Read the facts of every file, in row order; with `skip` leave bad images out.

    `exif`: also read the times that files hold.
    """
    ordered = sorted(listing.records, key=lambda record: SPLITS.index(record.split))

    def facts(record: ImageRecord) -> _FileFacts | None:
        path = listing.root / record.path
        try:
            width, height = decode(path).size if skip else image_size(path)
            time = time_taken(path) if exif else math.nan
            deep = None if path.suffix.lower() in _EIGHT_BITS else deep_range(path)
        except UserError as error:
            if not skip:
                raise
            say(error)
            return None
        return _FileFacts(width, height, sha256_file(path), time, deep)

    with ThreadPoolExecutor(threads) as pool:
        facts_of = pool.map(facts, ordered, chunksize=64)
        found = list(progress(facts_of, total=len(ordered), desc="index", unit="image"))
    both = [(r, f) for r, f in zip(ordered, found, strict=True) if f is not None]
    return [record for record, _ in both], [fact for _, fact in both]


def _with_exif(
    records: list[ImageRecord], facts: list[_FileFacts], root: Path
) -> list[ImageRecord]:
    """Return the records with the times that the files hold."""
    if all(math.isnan(fact.time) for fact in facts):
        raise UserError(
            f"data.time: no image in {root} holds EXIF DateTimeOriginal, such as "
            f"'{records[0].path}'. Leave data.time out, or give a pattern on the path."
        )
    return [replace(r, time=f.time) for r, f in zip(records, facts, strict=True)]


def _time_notes(columns: dict[str, np.ndarray], unit: str, listing: Listing) -> list[str]:
    return time_notes(
        columns["time"], columns["camera"], unit=unit, camera_names=listing.camera_names
    )


def _copies(records: list[ImageRecord], facts: list[_FileFacts]) -> Iterator[str]:
    """Yield notes about files that are equal byte for byte."""
    sums = {
        split: Counter(f.sha256 for r, f in zip(records, facts, strict=True) if r.split == split)
        for split in SPLITS
    }
    for one, other, why in _ROLES:
        both = sums[one].keys() & sums[other].keys()
        if both:
            count = sum(sums[one][file] for file in both)
            place = "train split" if other == "train" else other
            what = many(count, f"{one} image is", f"{one} images are")
            yield f"Warning: {what} in the {place}, too, as the same file. {why}"
    yield from _contradictions(records, facts)
    most = max(sums["train"].values(), default=0)
    if most > 2:
        yield (
            f"One training image is there {most} times, as the same file. Copies are each other's "
            f"nearest neighbours: keep graph.k1 well above {most}, or remove them."
        )


def _contradictions(records: list[ImageRecord], facts: list[_FileFacts]) -> Iterator[str]:
    """Yield a note if files that are equal byte for byte have different identities."""
    named: dict[str, dict[int, str]] = defaultdict(dict)
    for record, fact in zip(records, facts, strict=True):
        if record.identity >= 0:
            named[fact.sha256].setdefault(record.identity, record.path)
    several = [list(paths.values()) for paths in named.values() if len(paths) > 1]
    if several:
        what = many(len(several), "file is there", "files are there")
        yield (
            f"Warning: {what} again with another identity, first '{several[0][0]}' and "
            f"'{several[0][1]}'. Figures count one of the two as wrong: correct the identity."
        )


def _columns(records: list[ImageRecord], facts: list[_FileFacts]) -> dict[str, np.ndarray]:
    cameras, most = max(r.camera for r in records) + 1, np.iinfo(np.int16).max
    if cameras > most:
        raise UserError(
            f"The images name {cameras:,} cameras, at most {most:,} are told apart. Let "
            "data.camera (or the manifest's column) find the camera, not a number of the image."
        )
    return {
        "path": np.array([r.path for r in records], dtype=object),
        "split": np.array([SPLITS.index(r.split) for r in records], np.uint8),
        "identity": np.array([r.identity for r in records], np.int32),
        "camera": np.array([r.camera for r in records], np.int16),
        "time": np.array([r.time for r in records], np.float64),
        "width": np.array([f.width for f in facts], np.int32),
        "height": np.array([f.height for f in facts], np.int32),
        "sha256": np.array([f.sha256 for f in facts], dtype=object),
    }


def _tracks(records: list[ImageRecord]) -> dict[str, np.ndarray]:
    """Return the track of each image, numbered by first appearance, and the names."""
    names = list(dict.fromkeys(record.track for record in records if record.track))
    codes = {name: code for code, name in enumerate(names)}
    return {
        "track": np.array([codes.get(record.track, -1) for record in records], np.int32),
        "track_names": np.array(names, dtype=object),
    }


def _sides(records: list[ImageRecord]) -> dict[str, np.ndarray]:
    """Return the side of each image, in the order of their names, and the names; or nothing."""
    names = numbered(record.side for record in records if record.side)
    most = np.iinfo(np.int8).max
    if len(names) > most:
        raise UserError(
            f"The images name {len(names):,} sides, first '{names[0]}'; at most {most} are told "
            "apart. Let data.side (or the manifest's column) find the side and no more."
        )
    if not names:
        return {}
    codes = {name: code for code, name in enumerate(names)}
    return {
        "side": np.array([codes.get(record.side, -1) for record in records], np.int8),
        "side_names": np.array(names, dtype=object),
    }


def _side_line(columns: dict[str, np.ndarray]) -> str:
    counts = np.bincount(columns["side"][columns["side"] >= 0])
    named = zip(columns["side_names"], counts, strict=True)
    unknown = int((columns["side"] < 0).sum())
    words = [*(f"{name} ({count:,})" for name, count in named), f"unknown ({unknown:,})"]
    return f"images by side: {', '.join(words if unknown else words[:-1])}"
