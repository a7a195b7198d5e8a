"""The pairs of a session, and the file that answers go to."""

import csv
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from mprd.artifacts import atomic
from mprd.errors import UserError

Answer = Literal["1", "0", ""]  # the same, different, cannot tell
_HEADER = ["path_a", "path_b", "same"]


class Shown(NamedTuple):
    """A pair as a person sees it.

    Attributes:
        paths: of the two images, as in the index.
        cameras: their names, "" unknown.
        rows: of the index.
        moves: images that the answer moves to another cluster, at least; 0: none, it only counts.
    """

    paths: tuple[str, str]
    cameras: tuple[str, str]
    rows: tuple[int, int]
    moves: int


class Asking(Protocol):
    """What the page needs to know of a session: `Session`, or an `AuditSession`."""

    questions: Sequence[Shown]
    answered: int
    out: Path

    @property
    def current(self) -> Shown | None:
        """The question to ask now; None: there are no more."""

    def answer(self, number: int, answer: Answer) -> None:
        """Take an answer."""

    def undo(self) -> None:
        """Take the last answer back."""


class Session:
    """Questions in order, and answers on disk.

    Every answer is in the file before the next question is shown. Pairs that the file holds already
    are not asked again. Answers may come from several threads, as those of a double click do.
    """

    def __init__(self, questions: Sequence[Shown], out: Path) -> None:
        """Begin, or continue.

        Args:
            questions: in the order in which they are asked.
            out: CSV `path_a,path_b,same`; made if it is not there.

        Raises:
            UserError: the file is there but holds something else.
        """
        self.out = out
        before = _read(out)
        known = {frozenset(row[:2]) for row in before}
        self.questions: Sequence[Shown] = [q for q in questions if frozenset(q.paths) not in known]
        self.answered = 0
        self._lock = threading.Lock()
        # An editor may have left the last line open: the next answer would be glued to it.
        if not out.is_file() or not out.read_bytes().endswith(b"\n"):
            self._write(before)

    @property
    def current(self) -> Shown | None:
        """The question to ask now; None: there are no more."""
        return self.questions[self.answered] if self.answered < len(self.questions) else None

    def answer(self, number: int, answer: Answer) -> None:
        """Take an answer; a second one to the same question changes nothing.

        Args:
            number: of the question, from 0.
            answer: what the person says.
        """
        with self._lock:
            question = self.current
            if question is None or number != self.answered:
                return
            with self.out.open("a", encoding="utf-8", newline="") as file:
                csv.writer(file).writerow([*question.paths, answer])
                file.flush()
                os.fsync(file.fileno())
            self.answered += 1

    def undo(self) -> None:
        """Take the last answer of this session back."""
        with self._lock:
            if self.answered:
                self._write(_read(self.out)[:-1])
                self.answered -= 1

    def _write(self, rows: list[list[str]]) -> None:
        with (
            atomic(self.out) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file).writerows([_HEADER, *rows])


def _read(path: Path) -> list[list[str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or rows[0] != _HEADER or any(len(row) != len(_HEADER) for row in rows):
        raise UserError(
            f"{path} is no file of answers. Its first line must be {','.join(_HEADER)}, and each "
            "line must have three cells. Name another file with --out."
        )
    return rows[1:]
