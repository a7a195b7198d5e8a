"""What a person does on the page, as entries of the log of decisions."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mprd.browsing.board import Board
from mprd.browsing.halves import halves
from mprd.decisions.entry import Decision, Kind

_LONGEST = 200  # characters of a name


class NotPossible(Exception):  # noqa: N818 - no error: the page says it and goes on
    """An action that the clusters do not allow, as a sentence."""


def decision_for(board: Board, wish: Mapping[str, Any]) -> Decision:
    """Return the decision that an action is.

    An image takes all images of its track along.

    Args:
        board: the clusters that the person saw.
        wish: `action`, and what it is about: `clusters` (numbers), `rows`, `to` (a number), `name`.

    Raises:
        NotPossible: it changes nothing, or is about what is not there.
    """
    action = wish.get("action")
    if not isinstance(action, str) or action not in _ACTIONS:
        raise NotPossible("There is no such action.")
    return _ACTIONS[action](_Wish(board, wish))


class _Wish:
    """An action, checked as it is read."""

    def __init__(self, board: Board, wish: Mapping[str, Any]) -> None:
        self.board, self._wish = board, wish

    @property
    def clusters(self) -> list[int]:
        """Numbers of different clusters."""
        found = self._integers("clusters")
        if not found or not set(found) <= set(self.board.known.tolist()):
            raise NotPossible("Such a cluster is not there any more.")
        return list(dict.fromkeys(found))

    @property
    def rows(self) -> np.ndarray:
        """Images with all of their tracks, ascending."""
        found = self._integers("rows")
        group = self.board.run.tracks.group
        if not found or not 0 <= min(found) <= max(found) < len(group):
            raise NotPossible("Choose images first.")
        return np.flatnonzero(np.isin(group, group[found]))

    @property
    def to(self) -> int:
        """Number of the cluster that images go to."""
        found = self._integers("to")
        if len(found) != 1 or found[0] not in self.board.known:
            raise NotPossible("Such a cluster is not there any more.")
        return found[0]

    @property
    def anywhere(self) -> bool:
        """Whether no cluster is named in `to`."""
        return self._wish.get("to") is None

    @property
    def name(self) -> str:
        """Of an identity."""
        name = self._wish.get("name")
        if not isinstance(name, str) or len(name) > _LONGEST:
            raise NotPossible(f"A name has at most {_LONGEST} characters.")
        return " ".join("".join(c if c.isprintable() else " " for c in name).split())

    def rest(self, rows: np.ndarray) -> np.ndarray:
        """Return the other images of the one cluster that images are in."""
        numbers = np.unique(self.board.numbers[rows])
        if len(numbers) != 1 or numbers[0] < 0:
            raise NotPossible("Choose images of one cluster.")
        rest = np.setdiff1d(self.board.members(int(numbers[0])), rows)
        if not len(rest):
            raise NotPossible("These are all images of the cluster: nothing would be left in it.")
        return rest

    def paths(self, rows: np.ndarray) -> tuple[str, ...]:
        """Return the paths of images, the surest of their clusters first."""
        order = rows[np.argsort(-self.board.relation[rows], kind="stable")]
        return tuple(self.board.run.paths[row] for row in order.tolist())

    def _integers(self, key: str) -> list[int]:
        found = self._wish.get(key)
        found = found if isinstance(found, list) else [found]
        if not all(type(one) is int and abs(one) < 2**31 for one in found):
            raise NotPossible("This is no number.")
        return found


def _merge(wish: _Wish) -> Decision:
    first, *others = sorted(wish.clusters, key=lambda number: _rank(wish.board, number))
    if not others:
        raise NotPossible("Choose two clusters or more.")
    rows = np.concatenate([wish.board.members(number) for number in others])
    return Decision(Kind.MERGE, wish.paths(wish.board.members(first)), wish.paths(rows))


def _rank(board: Board, number: int) -> tuple[bool, int, int]:
    """Return what the cluster that keeps its number and name is smallest in."""
    name = board.names[np.searchsorted(board.known, number)]
    return not name, -len(board.members(number)), number


def _different(wish: _Wish) -> Decision:
    one, other = _two(wish)
    return Decision(Kind.NOT, wish.paths(one), wish.paths(other))


def _two(wish: _Wish) -> Iterator[np.ndarray]:
    if len(wish.clusters) != 2:
        raise NotPossible("Choose two clusters.")
    return map(wish.board.members, wish.clusters)


def _split(wish: _Wish) -> Decision:
    return Decision(Kind.SPLIT, wish.paths(wish.rows), wish.paths(wish.rest(wish.rows)))


def _halve(wish: _Wish) -> Decision:
    found = halves(wish.board.run, wish.board.members(wish.clusters[0]))
    if found is None:
        raise NotPossible("This cluster is one image or one track: it cannot be split.")
    return Decision(Kind.SPLIT, wish.paths(found[1]), wish.paths(found[0]))


def _move(wish: _Wish) -> Decision:
    there = wish.board.members(wish.to)
    rows = np.setdiff1d(wish.rows, there)
    others = np.setdiff1d(there, wish.rows)
    if not len(rows) or not len(others):
        raise NotPossible("The images are in that cluster already.")
    return Decision(Kind.MOVE, wish.paths(rows), wish.paths(others))


def _not(wish: _Wish) -> Decision:
    rows = wish.rows
    others = wish.rest(rows) if wish.anywhere else wish.board.members(wish.to)
    if np.isin(rows, others).any():
        raise NotPossible("The images are in that cluster. Choose fewer of them.")
    return Decision(Kind.NOT, wish.paths(rows), wish.paths(others))


def _confirm(wish: _Wish) -> Decision:
    return Decision(Kind.CONFIRM, wish.paths(wish.board.members(wish.clusters[0])))


def _belongs(wish: _Wish) -> Decision:
    """Return what confirms an image in the cluster that it is in, or moves it there.

    Of added images in this cluster that wait themselves nothing is said, if it has others.
    """
    rows = wish.rows
    others = np.setdiff1d(wish.board.members(wish.to), rows)
    sure = np.setdiff1d(others, wish.board.waiting)
    others = sure if len(sure) else others
    if not len(others):
        return Decision(Kind.CONFIRM, wish.paths(rows))
    return Decision(Kind.MOVE, wish.paths(rows), wish.paths(others))


def _new(wish: _Wish) -> Decision:
    """Return what makes images somebody new, who is in none of the clusters near them.

    Added images that wait for a decision may show the same newcomer, whichever cluster they are in.
    Only of those that were shown together with the chosen ones, as a cluster of strangers, it is
    said that they do not.
    """
    rows, board = wish.rows, wish.board
    near = [number for row in rows.tolist() for number in board.near_numbers(row)]
    found = np.setdiff1d(np.flatnonzero(np.isin(board.numbers, near)), board.waiting)
    own = [board.members(number) for number in np.unique(board.numbers[rows]) if number >= 0]
    seen = [one for one in own if np.isin(one, board.waiting).all()]
    return Decision(
        Kind.NEW, wish.paths(rows), wish.paths(np.setdiff1d(np.concatenate([found, *seen]), rows))
    )


def _rename(wish: _Wish) -> Decision:
    names = dict(zip(wish.board.known.tolist(), wish.board.names.tolist(), strict=True))
    (number,) = wish.clusters[:1]
    if names[number] == wish.name:
        raise NotPossible("It has this name already.")
    taken = [other for other, name in names.items() if wish.name and name == wish.name]
    if taken:
        raise NotPossible(
            f"Cluster {taken[0]} has the name {wish.name!r} already. If both are one identity, "
            "merge them; if not, choose another name."
        )
    return Decision(Kind.RENAME, wish.paths(wish.board.members(number)), value=wish.name)


_ACTIONS = {
    "merge": _merge,
    "different": _different,
    "split": _split,
    "halve": _halve,
    "move": _move,
    "belongs": _belongs,
    "not": _not,
    "confirm": _confirm,
    "new": _new,
    "rename": _rename,
}
