"""Undo and redo without end, from the log: nothing else is remembered."""

from collections.abc import Sequence

from mprd.decisions.entry import Decision, Kind
from mprd.decisions.log import holding, in_effect


def undone_next(entries: Sequence[Decision]) -> Decision | None:
    """Return the decision that "undo" takes back, the last that holds; None: there is none.

    Args:
        entries: of the log, ascending.
    """
    found = in_effect(entries)
    return found[-1] if found else None


def redone_next(entries: Sequence[Decision]) -> Decision | None:
    """Return the UNDO that "redo" takes back; None: there is none.

    It is the last one, unless something new was decided since.

    Args:
        entries: of the log, ascending.
    """
    kinds = {one.entry: one.kind for one in entries}
    last = max((one.entry for one in entries if one.kind is not Kind.UNDO), default=0)
    undone = [
        one
        for one in holding(entries)
        if one.kind is Kind.UNDO and one.entry > last and kinds[int(one.value)] is not Kind.UNDO
    ]
    return undone[-1] if undone else None
