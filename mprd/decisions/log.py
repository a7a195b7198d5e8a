"""`decisions.csv`: an append-only log that survives kills, full disks and several writers."""

import csv
import io
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mprd.artifacts.csv_rows import csv_header, csv_rows
from mprd.artifacts.files import atomic
from mprd.artifacts.locks import briefly_alone, no_locks
from mprd.artifacts.places import make_folder, reason
from mprd.decisions.entry import (
    COLUMNS,
    Decision,
    Kind,
    cells_of,
    decision_of,
    fault_of,
    moment_words,
)
from mprd.errors import UserError, many, remedy, why_no_file

_PAIRS = ("path_a", "path_b", "same")  # the columns of an older mprd
_ANSWERS = {"1": Kind.SAME, "true": Kind.SAME, "yes": Kind.SAME, "": Kind.UNSURE}
_ANSWERS |= dict.fromkeys(("0", "false", "no"), Kind.DIFFERENT)
_WHOLE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")  # what a line of ours ends with


class DecisionLog:
    """The decisions of a run, on disk before `append` returns.

    Several logs, threads and processes may write one file: each takes the lock for one entry, reads
    what others wrote, and gives its entry the next number. An entry is taken back by its number, so
    nobody takes back what another one said.

    Attributes:
        path: of the file.
        notes: what was mended when the file was read, and whether nobody else is kept from writing,
            as sentences.
    """

    def __init__(self, path: Path, before: Path | None = None, who: str = "") -> None:
        """Open a log, or begin one.

        Args:
            path: of the file; one with the pairs of an older mprd is turned into a log, and the
                old one is kept beside it as `<name>.old`.
            before: answers of an older mprd, with which a new log begins, if they are there.
            who: decides, in new entries that do not say it themselves.

        Raises:
            UserError: the file holds something else; the folder cannot be written to.
        """
        self.path, self._who, self.notes = path, who, list[str]()
        self._threads = threading.RLock()
        make_folder(path.parent)
        self._seen: tuple[int, int] | None = None
        self._entries: list[Decision] = []
        with self._alone():
            self._begin(before)
            self._mend()

    @property
    def entries(self) -> list[Decision]:
        """All entries, ascending, those of other writers too."""
        with self._threads:
            if self._state() != self._seen:
                with self._alone():
                    self._mend()
            return list(self._entries)

    def append(self, decision: Decision) -> Decision:
        """Write a decision; it is on disk when this returns.

        Args:
            decision: its number and its time are set here.

        Returns:
            The decision with number and time.

        Raises:
            UserError: it is no decision by itself; the file cannot be written, and is as before.
        """
        return self._append([decision])[0]

    def extend(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Write several decisions at once, all or none; as `append`."""
        return self._append(decisions)

    def undo(self, entry: int) -> Decision | None:
        """Take an entry back; to redo, take back the entry that this returns.

        Args:
            entry: its number.

        Returns:
            The new entry; None: the entry does not hold any more, nothing was written.

        Raises:
            UserError: there is no such entry, or as `append`.
        """
        with self._alone():
            self._mend()
            if entry not in {one.entry for one in self._entries}:
                raise UserError(f"{self.path} has no entry {entry}.")
            if entry not in {one.entry for one in holding(self._entries)}:
                return None
            return self._append([Decision(Kind.UNDO, value=str(entry))])[0]

    def _append(self, decisions: Sequence[Decision]) -> list[Decision]:
        for decision in decisions:
            if fault := fault_of(decision):
                raise UserError(f"{self.path}: {fault}")
        with self._alone():
            self._mend()
            now, source = moment_words(datetime.now(UTC)), str(self.path)
            last = self._entries[-1].entry if self._entries else 0
            new = [
                one._replace(entry=last + n, who=one.who or self._who, time=now, source=source)
                for n, one in enumerate(decisions, 1)
            ]
            self._write(_lines([cells_of(one) for one in new]))
            self._entries += new
            self._seen = self._state()
            return new

    def _write(self, text: str) -> None:
        """Add text at the end of the file, all of it or nothing."""
        # Unbuffered: a buffer would be written again when the file is closed.
        with self.path.open("r+b", buffering=0) as file:
            size, rest = file.seek(0, os.SEEK_END), text.encode()
            try:
                while rest:  # a raw file may take a part only
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError as error:
                os.ftruncate(file.fileno(), size)
                raise UserError(
                    f"Cannot write {self.path}: {reason(error)}. The decision was not taken. "
                    f"{remedy(error)} Then decide again."
                ) from error

    def _begin(self, before: Path | None) -> None:
        """Make the file where it is missing, or turn one of an older mprd into a log."""
        old = self.path if self.path.is_file() else before
        if old is None or not old.is_file():
            if not self.path.is_file():
                self._make([])
            return
        if csv_header(old) != list(_PAIRS):
            return
        entries = read_decisions(old)
        if old == self.path:
            with atomic(old.with_name(f"{old.name}.old"), lock=False) as temporary:
                temporary.write_bytes(old.read_bytes())
        self._make(entries)
        self.notes.append(f"{many(len(entries), 'answer')} of {old.name} moved into {self.path}.")

    def _make(self, entries: list[Decision]) -> None:
        with atomic(self.path, lock=False) as temporary:
            text = _lines([list(COLUMNS), *map(cells_of, entries)])
            temporary.write_text(text, encoding="utf-8", newline="")

    def _mend(self) -> None:
        """Read the file anew if it changed; cut a half-written last line off."""
        if self._state() == self._seen:
            return
        if not self.path.is_file() or not self.path.stat().st_size:  # removed meanwhile
            self._make([])
        self._entries = read_decisions(self.path)
        data = self.path.read_bytes()
        if not data.endswith(b"\n"):
            size = data.rfind(b"\n") + 1
            if _is_whole(data[size:]):
                self._write("\n")
            else:
                os.truncate(self.path, size)
                self.notes.append(
                    f"{self.path} ended with half an entry, which was never taken; it was cut off."
                )
        self._seen = self._state()

    def _state(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_size, status.st_mtime_ns

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads and processes from writing."""
        with self._threads, briefly_alone(self.path) as locked:
            if not locked and not self.notes:
                self.notes.append(no_locks(self.path.parent))
            yield


def read_decisions(path: Path) -> list[Decision]:
    """Read a log of decisions, or the pairs `path_a,path_b,same` of an older mprd.

    A half-written last line is passed over: its decision was never taken.

    Args:
        path: CSV.

    Returns:
        The entries, ascending; pairs are numbered by their line, from 1.

    Raises:
        UserError: it is neither; names the line.
    """
    if not path.is_file():
        raise UserError(f"{why_no_file(path)}. Name a CSV file, or leave the setting out.")
    rows, text = csv_rows(path)
    if rows and rows[0] == list(_PAIRS):
        return [_pair(cells, n, path) for n, cells in enumerate(rows[1:], 1) if cells]
    if not rows or rows[0] != list(COLUMNS):
        raise UserError(
            f"{path} is no file of decisions. Its first line must be {','.join(COLUMNS)} (or "
            f"{','.join(_PAIRS)}). Name another file."
        )
    if text and not text.endswith("\n") and not _is_whole(text.rpartition("\n")[2].encode()):
        rows.pop()
    found: list[Decision] = []
    for line, cells in enumerate(rows[1:], 2):
        if not cells:
            continue
        try:
            one = decision_of(cells, str(path))
        except ValueError as error:
            raise UserError(f"{path}, line {line} is no decision: {error}") from None
        if found and one.entry <= found[-1].entry:
            raise UserError(f"{path}, line {line}: entry {one.entry} follows {found[-1].entry}.")
        found.append(one)
    return found


def holding(entries: Sequence[Decision]) -> list[Decision]:
    """Return the entries that are not taken back, ascending, UNDO entries too.

    Args:
        entries: of one log, ascending.
    """
    gone: set[int] = set()
    found = []
    for one in reversed(entries):
        if one.entry in gone:
            continue
        found.append(one)
        if one.kind is Kind.UNDO and int(one.value) < one.entry:
            gone.add(int(one.value))
    return found[::-1]


def in_effect(entries: Sequence[Decision]) -> list[Decision]:
    """Return the decisions that hold, ascending: neither taken back nor an UNDO."""
    return [one for one in holding(entries) if one.kind is not Kind.UNDO]


def _pair(cells: list[str], number: int, path: Path) -> Decision:
    """Return a line of an older mprd as a decision."""
    if len(cells) != len(_PAIRS):
        raise UserError(f"{path}, line {number + 1} has {len(cells)} cells, not {len(_PAIRS)}.")
    first, second, same = cells
    kind = _ANSWERS.get(same.strip().lower())
    if kind is None:
        raise UserError(f"{path}, line {number + 1}: same is {same!r}. Write 1, 0 or nothing.")
    one = Decision(kind, (first,), (second,), entry=number, source=str(path))
    if first == second:
        raise UserError(f"{path}, line {number + 1} pairs an image with itself. Remove it.")
    return one


def _is_whole(line: bytes) -> bool:
    """Tell whether a line without its end has all that an entry has."""
    try:
        cells = next(csv.reader([line.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return False
    return cells == list(COLUMNS) or (
        len(cells) == len(COLUMNS) and _WHOLE.fullmatch(cells[-1]) is not None
    )


def _lines(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
