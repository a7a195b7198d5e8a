"""The pattern most data sets share: one flat folder per split, all labels in the file names."""

import math
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mprd.data.datasets.base import ImageRecord, Split, is_litter
from mprd.errors import UserError

STANDARD: Mapping[Split, str] = {
    "train": "bounding_box_train",
    "query": "query",
    "gallery": "bounding_box_test",
}


@dataclass(frozen=True)
class FlatLayout:
    """How a data set names its folders and files.

    Attributes:
        pattern: matches a whole file name, with the groups `identity` and `camera`. A group
            `frame` is the time of the image. With a group `sequence` frames are counted from the
            start of a sequence, and sequences of one camera follow each other: the time is the
            frame plus the lengths of the camera's earlier sequences. The length of a sequence is
            the largest frame of any file in it.
        example: a file name that fits, shown in errors.
        cameras: the camera numbers in file names; the position is the zero-based camera.
        folders: the folder of each split.
    """

    pattern: re.Pattern[str]
    example: str
    cameras: Sequence[int]
    folders: Mapping[Split, str] = field(default_factory=lambda: STANDARD)

    def read(self, root: Path) -> list[ImageRecord]:
        """Return a record for every file of every split, with times where names have them.

        Raises:
            UserError: a split is empty, or file names do not fit the pattern.
        """
        records = []
        for split, folder in self.folders.items():
            names = _file_names(root / folder)
            found = [self._record(folder, name, split) for name in names]
            fitting = [record for record in found if record is not None]
            if not names:
                raise UserError(
                    f"The split {split} is empty: there are no images in {root / folder}. "
                    "Unpack the data set again."
                )
            if len(fitting) < len(names):
                raise self._misfit(root / folder, names[found.index(None)], found.count(None))
            records += fitting
        return self._in_a_row(records) if "sequence" in self.pattern.groupindex else records

    def _record(self, folder: str, name: str, split: Split) -> ImageRecord | None:
        match = self.pattern.fullmatch(name)
        if match is None or int(match["camera"]) not in self.cameras:
            return None
        camera = self.cameras.index(int(match["camera"]))
        time = float(match["frame"]) if "frame" in self.pattern.groupindex else math.nan
        return ImageRecord(f"{folder}/{name}", split, int(match["identity"]), camera, time)

    def _in_a_row(self, records: list[ImageRecord]) -> list[ImageRecord]:
        """Return the records with times that count from the first sequence of their camera."""
        sequences = [self._sequence(record) for record in records]
        lengths: dict[int, dict[int, float]] = defaultdict(dict)
        for record, sequence in zip(records, sequences, strict=True):
            known = lengths[record.camera]
            known[sequence] = max(known.get(sequence, 0.0), record.time)
        starts = {camera: _starts(known) for camera, known in lengths.items()}
        return [
            replace(record, time=record.time + starts[record.camera][sequence])
            for record, sequence in zip(records, sequences, strict=True)
        ]

    def _sequence(self, record: ImageRecord) -> int:
        match = self.pattern.fullmatch(record.path.rpartition("/")[2])
        assert match is not None
        return int(match["sequence"])

    def _misfit(self, folder: Path, first: str, count: int) -> UserError:
        cameras = f"{self.cameras[0]}-{self.cameras[-1]}"
        if not isinstance(self.cameras, range):
            cameras = ", ".join(map(str, self.cameras))
        return UserError(
            f"{count} file(s) in {folder} do not fit the names of this data set, first '{first}': "
            f"expected names like {self.example} with a camera among {cameras}. "
            "Move other files away, or check that this is the right data set."
        )


def _starts(lengths: Mapping[int, float]) -> dict[int, float]:
    """Return what comes before each sequence, from the length of each."""
    starts, before = {}, 0.0
    for sequence in sorted(lengths):
        starts[sequence] = before
        before += lengths[sequence]
    return starts


def _file_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_file() and not is_litter(e.name))
    except OSError as error:
        raise UserError(
            f"{folder} cannot be listed ({error.strerror}): make it readable."
        ) from None
