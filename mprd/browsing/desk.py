"""The one who decides: takes actions of pages, one after the other, and writes them down."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mprd.browsing.actions import NotPossible, decision_for
from mprd.browsing.board import Board, said
from mprd.browsing.history import redone_next, undone_next
from mprd.browsing.run import Run
from mprd.decisions.entry import Kind
from mprd.decisions.facts import clashes
from mprd.decisions.log import DecisionLog, in_effect
from mprd.decisions.reading import is_later
from mprd.errors import UserError, in_words

_ELSEWHERE = "Another page or command decided meanwhile. Look at what it shows now, then go on."
_APPLYING = "Apply is running. Nothing was written: decide again when it is done."


class Desk:
    """The decisions of a run, for all pages that show it.

    Attributes:
        run: the run.
        log: that every decision is in before its action returns.
    """

    def __init__(self, folder: Path, apply: Callable[[], str], who: str = "") -> None:
        """Open.

        Args:
            folder: of a finished run.
            apply: lets the decisions hold in its clusters, and returns what came of it.
            who: decides; "" unknown.

        Raises:
            UserError: the run is not finished, or its log cannot be read.
        """
        self.run = Run(folder)
        layout = self.run.layout
        self.log = DecisionLog(layout.decisions, layout.folder / "answers.csv", who)
        self._apply, self._applying = apply, False
        self._acting, self._lock = threading.Lock(), threading.RLock()
        self._board = Board.of(self.run, self.log)

    @property
    def board(self) -> Board:
        """The clusters as they are now, also after decisions of other programs.

        While Apply runs, they are those before it.
        """
        with self._lock:
            if not self._applying and self.run.is_old:
                self.run = Run(self.run.layout.folder)
                self._board = Board.of(self.run, self.log)
            entries = self.log.entries
            if entries[-1:] != self._board.entries[-1:]:
                self._board = Board.of(self.run, self.log)
            return self._board

    def act(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a person asks for, one after the other; while Apply runs, nothing.

        Args:
            wish: `action`, `revision` (that the page showed), and what the action is about.

        Returns:
            `done`, a sentence; or `problem`, a sentence, and nothing was written; with it
            `clashes`, the decisions that it contradicts, if there are such.
        """
        if self._applying:
            return {"problem": _APPLYING}
        with self._acting:
            board = self.board
            if wish.get("revision") != board.revision:
                return {"problem": _ELSEWHERE}
            try:
                with in_words():
                    return self._do(board, wish)
            except (NotPossible, UserError) as error:
                return {"problem": str(error)}

    def _do(self, board: Board, wish: Mapping[str, Any]) -> dict[str, Any]:
        action = wish.get("action")
        if action == "apply":
            return {"done": self._hold()}
        if action in ("undo", "redo"):
            return self._go(board, redo=action == "redo")
        holding = in_effect(board.entries)
        if action == "retract":
            entry = wish.get("entry")
            found = [one for one in holding if one.entry == entry]
            if not found:
                raise NotPossible("This decision does not hold any more.")
            self.log.undo(found[0].entry)
            return {"done": f"Taken back: {found[0].words()}"}
        decision = decision_for(board, wish)
        wrong = clashes(holding, decision)
        if wrong:
            return {
                "problem": "This contradicts an earlier decision.",
                "clashes": [said(one, board.run.place) for one in wrong],
            }
        words = self.log.append(decision).words()
        if decision.kind is Kind.NEW:
            number = self.board.numbers[self.run.place[decision.images[0]]]
            words += f". It is cluster {number} now, and is shown beside images that look like it."
        return {"done": words}

    def _hold(self) -> str:
        self._applying = True
        try:
            return self._apply()
        finally:
            self._applying = False

    def _go(self, board: Board, *, redo: bool) -> dict[str, Any]:
        if redo:
            one = redone_next(board.entries)
            if one is None:
                raise NotPossible("There is nothing to redo.")
            self.log.undo(one.entry)
            return {"done": f"Done again: entry {one.value}"}
        last = undone_next(board.entries)
        if last is None:
            raise NotPossible("There is nothing to undo.")
        self.log.undo(last.entry)
        held = not is_later(last, self.run.made)
        more = " It had been applied: Apply again to see the clusters without it." if held else ""
        return {"done": f"Taken back: {last.words()}.{more}"}
