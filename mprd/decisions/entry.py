"""One entry of a log of decisions: what a person said about images, by their paths."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

COLUMNS = ("entry", "kind", "images", "others", "value", "who", "time")
_BETWEEN = " | "
_ESCAPED = {"\\": "\\\\", "|": "\\|", "\n": "\\n", "\r": "\\r"}
_PLAIN = {word[1]: char for char, word in _ESCAPED.items()}
_SHOWN = 2  # images that a sentence names of a longer list


class Kind(StrEnum):
    """What is decided; `images` and `others` are those of the decision."""

    SAME = "same"  # one image, one other: one identity
    DIFFERENT = "different"  # one image, one other: two identities
    UNSURE = "unsure"  # one image, one other: cannot be told, and is not asked again
    MERGE = "merge"  # the members of one cluster, those of others: all are one identity
    SPLIT = "split"  # images that are one identity, and not that of the others
    MOVE = "move"  # images that belong to the identity of the others, and to no earlier one
    NOT = "not"  # images of which none is the identity of the others
    CONFIRM = "confirm"  # the members of a cluster are one identity
    NEW = "new"  # images that are one identity, and nobody else; not even of the others, if any
    RENAME = "rename"  # the identity of the images has the name `value`; "": none
    UNDO = "undo"  # the entry with the number `value` does not hold


PAIRS = (Kind.SAME, Kind.DIFFERENT, Kind.UNSURE)
_TWO_SIDES = (*PAIRS, Kind.MERGE, Kind.SPLIT, Kind.MOVE, Kind.NOT)
_VERBS = {
    Kind.SAME: "{images} is the same as {others}",
    Kind.DIFFERENT: "{images} is not the same as {others}",
    Kind.UNSURE: "cannot tell whether {images} is the same as {others}",
    Kind.MERGE: "merge {images} with {others}",
    Kind.SPLIT: "split {images} from {others}",
    Kind.MOVE: "move {images} to {others}",
    Kind.NOT: "{images} is not of {others}",
    Kind.CONFIRM: "confirm {images}",
    Kind.NEW: "{images} is a new individual, not {others}",
    Kind.RENAME: "call {images} {value!r}",
    Kind.UNDO: "undo entry {value}",
}


class Decision(NamedTuple):
    """A line of the log.

    Attributes:
        kind: what is decided.
        images: paths, as in the index of the run.
        others: paths on the other side, see `Kind`.
        value: name of a RENAME; number of the entry that an UNDO takes back.
        who: decided, if known.
        time: when it was written, ISO 8601, UTC, microseconds; "" unknown.
        entry: number in the log, from 1; 0: not written yet.
        source: the file that it was read from; not part of the line.
    """

    kind: Kind
    images: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    value: str = ""
    who: str = ""
    time: str = ""
    entry: int = 0
    source: str = ""

    def words(self) -> str:
        """Return the decision as a person reads it.

        Example:
            >>> Decision(Kind.SAME, ("a.jpg",), ("b.jpg",), entry=3, who="Ann").words()
            'entry 3 (by Ann): a.jpg is the same as b.jpg'
        """
        others = _listed(self.others) if self.others else "anyone known"
        said = _VERBS[self.kind].format(
            images=_listed(self.images), others=others, value=self.value
        )
        about = [self.time[:16].replace("T", " "), self.who and f"by {self.who}"]
        known = ", ".join(filter(None, about))
        where = f"entry {self.entry}" if self.entry else "the new decision"
        return f"{where}{f' ({known})' if known else ''}: {said}"


def moment_words(moment: datetime) -> str:
    """Return a moment as `Decision.time` has it: such words are in the order of their moments."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def fault_of(decision: Decision) -> str:
    """Return what is wrong with a decision by itself, as a sentence; "": nothing."""
    kind, images, others = decision.kind, decision.images, decision.others
    if kind is Kind.UNDO:
        wrong = images or others or not decision.value.isdecimal()
        return "undo needs the number of an entry as its value, and no images." if wrong else ""
    if not images or not all((*images, *others)):
        return f"{kind} needs images."
    if kind is not Kind.NEW and bool(others) != (kind in _TWO_SIDES):
        return f"{kind} needs {'images' if kind in _TWO_SIDES else 'nothing'} in others."
    if kind in PAIRS and (len(images), len(others)) != (1, 1):
        return f"{kind} is about one image and one other."
    twice = len({*images, *others}) < len(images) + len(others)
    return f"{kind} names an image twice." if twice else ""


def cells_of(decision: Decision) -> list[str]:
    """Return the cells of a decision's line."""
    return [
        str(decision.entry),
        str(decision.kind),
        _joined(decision.images),
        _joined(decision.others),
        " ".join(decision.value.split()),
        " ".join(decision.who.split()),
        decision.time,
    ]


def decision_of(cells: list[str], source: str) -> Decision:
    """Return the decision of a line.

    Args:
        cells: of the line.
        source: the file.

    Raises:
        ValueError: it is no decision; says why.
    """
    if len(cells) != len(COLUMNS):
        raise ValueError(f"it has {len(cells)} cells, not {len(COLUMNS)}.")
    number, kind, images, others, value, who, time = cells
    if not number.isdecimal() or not int(number):
        raise ValueError(f"its entry is {number!r}, not a number from 1 on.")
    if kind not in list(Kind):
        raise ValueError(f"its kind is {kind!r}, not one of {', '.join(Kind)}.")
    sides = _parted(images), _parted(others)
    decision = Decision(Kind(kind), *sides, value, who, time, int(number), source)
    if fault := fault_of(decision):
        raise ValueError(fault)
    return decision


def _joined(paths: tuple[str, ...]) -> str:
    return _BETWEEN.join("".join(_ESCAPED.get(char, char) for char in path) for path in paths)


def _parted(cell: str) -> tuple[str, ...]:
    """Return the paths of a cell."""
    found, characters = [""], iter(cell)
    for char in characters:
        if char == "|":
            found.append("")
        elif char == "\\":
            escaped = next(characters, "")
            found[-1] += _PLAIN.get(escaped, escaped)
        else:
            found[-1] += char
    last = len(found) - 1
    # A space on each side of a `|` is for the eye.
    spaced = (
        path.removeprefix(" " if n else "").removesuffix(" " if n < last else "")
        for n, path in enumerate(found)
    )
    return tuple(spaced) if cell else ()


def _listed(paths: tuple[str, ...]) -> str:
    shown, rest = ", ".join(paths[:_SHOWN]), len(paths) - _SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
