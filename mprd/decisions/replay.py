"""Decisions one after the other: what each says of images, and no later one says otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mprd.decisions.entry import Decision, Kind

_JOINS = (Kind.MERGE, Kind.CONFIRM, Kind.SPLIT, Kind.MOVE, Kind.NEW)
_PARTS = (Kind.SPLIT, Kind.NOT, Kind.NEW)


@dataclass
class Group:
    """Images of which a decision says that they are one identity."""

    decision: Decision
    members: dict[str, None]


@dataclass
class Parting:
    """Images of which a decision says that they are not one identity with others."""

    decision: Decision
    images: dict[str, None]
    others: dict[str, None]
    joined: list[frozenset[str]] = field(default_factory=list)  # what later ones said is one


class Roots:
    """Groups that grow together (union-find)."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def of(self, path: str) -> str:
        """Return what stands for the group of a path."""
        self.parent.setdefault(path, path)
        while self.parent[path] != path:
            self.parent[path] = self.parent[self.parent[path]]
            path = self.parent[path]
        return path

    def join(self, first: str, second: str) -> None:
        """Join the groups of two paths."""
        self.parent[self.of(second)] = self.of(first)


class Replay:
    """Decisions taken one after the other."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.partings: list[Parting] = []
        self.pairs: list[Decision] = []
        self.names: dict[str, str] = {}
        self.of: dict[str, list[Group]] = {}  # the groups that hold a path
        self.parted: dict[str, list[Parting]] = {}  # the partings that name a path

    def take(self, one: Decision) -> None:
        """Take a decision, which may say something else of an image than those before."""
        if one.kind in (Kind.MOVE, *_PARTS):
            self._take_out(one)
        members = joined_by(one)
        for parting in {id(p): p for path in members for p in self.parted.get(path, [])}.values():
            if parting.decision.kind is not Kind.DIFFERENT:
                parting.joined.append(frozenset(members))
        if one.kind in _JOINS:
            group = Group(one, dict.fromkeys(members))
            self.groups.append(group)
            for path in members:
                self.of.setdefault(path, []).append(group)
        if one.kind is Kind.SAME:
            self.pairs.append(one)
        if one.kind in (Kind.DIFFERENT, *_PARTS):
            parting = Parting(one, dict.fromkeys(one.images), dict.fromkeys(one.others))
            self.partings.append(parting)
            for path in (*one.images, *one.others):
                self.parted.setdefault(path, []).append(parting)
        if one.kind is Kind.RENAME:
            self.names |= dict.fromkeys(one.images, one.value)

    def _take_out(self, one: Decision) -> None:
        """Take the images of a decision out of the groups that they do not belong to any more."""
        others = set(one.others)
        for path in one.images:
            kept = []
            for group in self.of.get(path, []):
                with_others = not others.isdisjoint(group.members)
                if one.kind is Kind.NEW or with_others != (one.kind is Kind.MOVE):
                    del group.members[path]
                else:
                    kept.append(group)
            self.of[path] = kept
        # They had their name as images of that cluster.
        left = {self.names.get(other) for other in others}
        for path in one.images:
            if one.kind is Kind.MOVE:
                self.names[path] = self.names.get(one.others[0], "")
            elif one.kind is Kind.NEW or self.names.get(path) in left:
                self.names.pop(path, None)


def joined_by(one: Decision) -> tuple[str, ...]:
    """Return the images of which a decision says that they are one identity."""
    if one.kind in (Kind.SPLIT, Kind.NEW):
        return one.images
    return (*one.images, *one.others) if one.kind in (Kind.SAME, *_JOINS) else ()


def standing(decisions: Sequence[Decision]) -> list[Decision]:
    """Return decisions without the images of which a later one said something else.

    Args:
        decisions: that hold, in their order.

    Example:
        >>> one = Decision(Kind.MERGE, ("a", "b"), ("c",), entry=1)
        >>> two = Decision(Kind.NOT, ("b",), ("a", "c"), entry=2)
        >>> standing([one, two])[0].images
        ('a',)
    """
    replay = Replay()
    for one in decisions:
        replay.take(one)
    members = {id(group.decision): group.members for group in replay.groups}
    found = []
    for one in decisions:
        if one.kind in (Kind.MERGE, Kind.CONFIRM, Kind.MOVE):
            left = members[id(one)]
            sides = [tuple(p for p in side if p in left) for side in (one.images, one.others)]
            if sides[0] and (sides[1] or not one.others):
                found.append(one._replace(images=sides[0], others=sides[1]))
        elif one.kind is Kind.NEW:
            stay = tuple(path for path in one.images if path in members[id(one)])
            if stay:
                found.append(one._replace(images=stay))
        else:
            found.append(one)
    return found
