"""The pairs of a session, and the file that answers go to."""

import csv
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

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


class Asking(ABC):
    """Questions in order, and answers on disk: a `Session`, or an `AuditSession`.

    Every answer is in the file before the next question is shown. Answers may come from several
    threads, as those of a double click do.

    Attributes:
        questions: in the order in which they are asked.
        answered: how many of them have an answer.
        out: the file.
    """

    def __init__(self, questions: Sequence[Shown], out: Path) -> None:
        """Begin.

        Args:
            questions: in the order in which they are asked.
            out: file that answers go to.
        """
        self.questions, self.out = questions, out
        self.answered = 0
        self._lock = threading.Lock()

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
            if self.current is not None and number == self.answered:
                self._store(number, answer)
                self.answered += 1

    def undo(self) -> None:
        """Take the last answer of this session back."""
        with self._lock:
            if self.answered:
                self._forget(self.answered - 1)
                self.answered -= 1

    @abstractmethod
    def _store(self, number: int, answer: Answer) -> None:
        """Write the answer to a question."""

    @abstractmethod
    def _forget(self, number: int) -> None:
        """Take the answer to a question, the last one, out of the file."""


class Session(Asking):
    """Answers at the end of a file; pairs that it holds already are not asked again."""

    def __init__(self, questions: Sequence[Shown], out: Path) -> None:
        """Begin, or continue.

        Args:
            questions: in the order in which they are asked.
            out: CSV `path_a,path_b,same`; made if it is not there.

        Raises:
            UserError: the file is there but holds something else.
        """
        before = _read(out)
        known = {frozenset(row[:2]) for row in before}
        super().__init__([q for q in questions if frozenset(q.paths) not in known], out)
        # An editor may have left the last line open: the next answer would be glued to it.
        if not out.is_file() or not out.read_bytes().endswith(b"\n"):
            self._write(before)

    def _store(self, number: int, answer: Answer) -> None:
        with self.out.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerow([*self.questions[number].paths, answer])
            file.flush()
            os.fsync(file.fileno())

    def _forget(self, number: int) -> None:
        self._write(_read(self.out)[:-1])

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
