"""The pairs of a session, and the file that answers go to."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mprd.decisions.entry import PAIRS, Decision, Kind
from mprd.decisions.facts import Contradiction, clashes
from mprd.decisions.log import DecisionLog, in_effect

Answer = Literal["1", "0", ""]  # the same, different, cannot tell
_KINDS: dict[Answer, Kind] = {"1": Kind.SAME, "0": Kind.DIFFERENT, "": Kind.UNSURE}
_ROUND = 10  # answers after which questions are chosen anew


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
        self._lock = threading.RLock()

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
                self.answered += self._store(number, answer)

    def undo(self, number: int) -> None:
        """Take the last answer of this session back; a second time changes nothing.

        Args:
            number: of the question that was shown with it, as `answered` counts.
        """
        with self._lock:
            if self.answered and number == self.answered:
                self._forget(self.answered - 1)
                self.answered -= 1

    @abstractmethod
    def _store(self, number: int, answer: Answer) -> bool:
        """Write the answer to a question; False: it cannot be taken."""

    @abstractmethod
    def _forget(self, number: int) -> None:
        """Take the answer to a question, the last one, out of the file."""


class Session(Asking):
    """Answers as decisions in a log; pairs that it holds already are not asked again.

    Attributes:
        log: that answers go to.
        clash: the answer that was given contradicts earlier decisions, which are these; None: all
            is well. Nothing was written: `retract` one of them, or answer otherwise.
    """

    def __init__(
        self,
        questions: Sequence[Shown],
        log: DecisionLog,
        more: Callable[[int], Sequence[Shown]] | None = None,
    ) -> None:
        """Begin, or continue.

        Args:
            questions: in the order in which they are asked.
            log: of the run.
            more: returns so many questions in view of the answers so far; None: the questions
                stay as they are.
        """
        judged = [one for one in in_effect(log.entries) if one.kind in PAIRS]
        known = {frozenset((*one.images, *one.others)) for one in judged}
        super().__init__([q for q in questions if frozenset(q.paths) not in known], log.path)
        self.log, self.clash = log, list[Contradiction]()
        self._more = more
        self._entries: list[int] = []
        self._refused: Answer = ""

    def retract(self, entry: int) -> None:
        """Take an earlier decision back that contradicts the answer, and give the answer again."""
        with self._lock:
            if any(entry == one.entry for clash in self.clash for one in clash.entries):
                self.log.undo(entry)
                self.answer(self.answered, self._refused)

    def _store(self, number: int, answer: Answer) -> bool:
        pair = self.questions[number].paths
        decision = Decision(_KINDS[answer], pair[:1], pair[1:])
        self.clash = clashes(in_effect(self.log.entries), decision)
        self._refused = answer
        if self.clash:
            return False
        self._entries.append(self.log.append(decision).entry)
        done, left = number + 1, len(self.questions) - number - 1
        if self._more is not None and left and not done % _ROUND:
            self.questions = [*self.questions[:done], *self._more(left)]
        return True

    def _forget(self, number: int) -> None:
        self.clash = []
        self.log.undo(self._entries[-1])
        self._entries.pop()  # not before the undo is on disk
